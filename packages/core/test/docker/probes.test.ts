import { describe, expect, it } from 'vitest'
import { withAccount } from '../../src/docker/accounts.js'
import { parseAssigned } from '../../src/docker/assigned-ids.js'
import { resolveDockerOptions } from '../../src/docker/options.js'
import { type EngineInfo, type GatewayFacts, probe, withoutEngineGroup } from '../../src/docker/probes.js'
import { seccompProfile } from '../../src/docker/seccomp.js'
import { makeWorld } from './world.js'

const VERSION = { Version: '27.0.1', ApiVersion: '1.46' }
const INFO: EngineInfo = {
  OSType: 'linux',
  OperatingSystem: 'Debian',
  DockerRootDir: '/var/lib/docker',
  SystemTime: '2026-01-01T00:00:10Z',
  NCPU: 4,
  MemoryLimit: true,
  SwapLimit: true,
  CpuCfsQuota: true,
  PidsLimit: true,
  LiveRestoreEnabled: false,
  SecurityOptions: ['name=apparmor', 'name=seccomp,profile=default'],
  Runtimes: { runc: {} },
}
const ROOT: GatewayFacts = {
  platform: 'linux',
  user: { uid: 0, gid: 0 },
  endpoint: { kind: 'socket', address: '/var/run/docker.sock' },
  socketGid: 998,
  seesEngineFiles: true,
  assignedIds: [{ first: 0, last: 65_535, holder: 'somebody' }],
}
const USER = { ...ROOT, user: { uid: 1000, gid: 1000 } }
const NOW = Date.UTC(2026, 0, 1)

function probed(info: Partial<EngineInfo>, gateway: Partial<GatewayFacts> = {}, options = {}) {
  return probe(
    VERSION,
    { ...INFO, ...info },
    { ...ROOT, ...gateway },
    resolveDockerOptions({ socketPath: '/x', ...options }),
    NOW,
  )
}

const codes = (...args: Parameters<typeof probed>) => probed(...args).report.warnings.map(({ code }) => code)

describe('opening an engine', () => {
  it('that can do everything warns of nothing, and gives every tenant a uid', () => {
    const { report, clockSkew, enforcement } = probed({})
    expect(report.warnings).toEqual([])
    expect(report).toMatchObject({ transport: 'socket', uids: { first: 1_879_048_192 } })
    expect(report.engine).toBe('Docker 27.0.1 (API 1.46, Debian, its restart ends boxes)')
    expect(clockSkew).toBe(10_000)
    expect(enforcement).toEqual({ cpu: true, seccomp: true, cpus: 4 })
  })

  it.each([
    [{ MemoryLimit: false, SwapLimit: false }, 'NO_MEMORY_LIMIT'],
    [{ SwapLimit: false }, 'NO_SWAP_LIMIT'],
    [{ CpuCfsQuota: false }, 'NO_CPU_LIMIT'],
    [{ PidsLimit: false }, 'NO_PIDS_LIMIT'],
    [{ SecurityOptions: [] }, 'NO_SECCOMP'],
    [{ SecurityOptions: null }, 'NO_SECCOMP'],
  ])('%j is warned of as %s', (info, code) => {
    expect(codes(info)).toEqual([code])
  })

  it('shares one uid, with a warning, when it cannot do otherwise', () => {
    const seccomp = 'name=seccomp,profile=builtin'
    expect(codes({}, USER)).toEqual(['SHARED_UID'])
    expect(codes({ SecurityOptions: ['name=rootless', seccomp] }, USER)).toEqual([
      'SHARED_UID',
      'REMAPPED_UIDS',
    ])
    expect(codes({ SecurityOptions: ['name=userns', seccomp] })).toEqual(['SHARED_UID', 'REMAPPED_UIDS'])
    expect(codes({ OperatingSystem: 'Docker Desktop' })).toEqual(['SHARED_UID', 'OTHER_FILES'])
    expect(probed({}, USER).report.uids).toBeUndefined()
    expect(probed({}, USER).defaultUser).toEqual(USER.user)
    expect(probed({ SecurityOptions: ['name=rootless', seccomp] }, USER).defaultUser).toEqual({
      uid: 0,
      gid: 0,
    })
  })

  it('on other files is warned of, unless the folder is named', () => {
    const remote = { endpoint: { kind: 'remote', address: 'engine.example:2375' } } as const
    expect(probed({}, remote).report.transport).toBe('port')
    expect(codes({}, remote)).toContain('OTHER_FILES')
    expect(codes({}, { seesEngineFiles: false })).toEqual(['OTHER_FILES'])
    expect(codes({}, { seesEngineFiles: false }, { hostDataDir: '/srv/data' })).toEqual([])
  })

  it('warns of tenants’ uids that others have, where tenants have uids of their own', () => {
    const uids = { first: 100_000, last: 165_535 }
    const assignedIds = [
      ...parseAssigned('alice:x:1000:1000::/home/alice:/bin/sh\nbroken', 'user', '/etc/passwd', true),
      ...parseAssigned('alice:100000:65536\n', 'subordinate uids of', '/etc/subuid', false),
      ...parseAssigned('staff:x:165535:', 'group', '/etc/group', true),
    ]
    const { warnings } = probed({}, { assignedIds }, { uids }).report
    expect(warnings.map(({ code }) => code)).toEqual(['UIDS_IN_USE', 'UIDS_IN_USE'])
    expect(warnings[0]?.message).toContain('subordinate uids of alice (/etc/subuid) has 100000-165535')
    expect(codes({}, { ...USER, assignedIds }, { uids })).toEqual(['SHARED_UID'])
    expect(codes({}, { assignedIds }, { uids: { first: 200_000, last: 300_000 } })).toEqual([])
  })

  it('warns of every override', () => {
    expect(codes({}, {}, { hostConfig: { Privileged: true, CapAdd: ['NET_ADMIN'] } })).toEqual([
      'HOST_CONFIG',
      'HOST_CONFIG',
    ])
  })

  it.each([
    [['--host-uds=all', '--network=none'], 'socket', []],
    [['-fsgofer-host-uds=true'], 'socket', []],
    [['--host-uds=open'], 'port', ['SOCKETS_CANNOT_CROSS']],
    [undefined, 'port', ['SOCKETS_CANNOT_CROSS']],
  ])('under gVisor, registered with %j, reaches boxes by a %s', (runtimeArgs, transport, warnings) => {
    const Runtimes = { gvisor: { path: '/usr/bin/runsc', ...(runtimeArgs ? { runtimeArgs } : {}) } }
    const { report } = probed({ Runtimes }, {}, { runtime: 'gvisor' })
    expect(report.transport).toBe(transport)
    expect(report.warnings.map(({ code }) => code)).toEqual(warnings)
  })

  it('reports the engine that is really there', async () => {
    const { report } = await makeWorld()
    expect(report.engine).toMatch(/^(Docker|Podman) \d+\./)
    expect(report.transport).toBe('socket')
  })
})

describe("a box's user", () => {
  it('is never in the group that may use the engine', () => {
    expect(withoutEngineGroup({ uid: 1000, gid: 998 }, 998)).toEqual({ uid: 1000, gid: 65_534 })
    expect(withoutEngineGroup({ uid: 1000, gid: 1000 }, 998)).toEqual({ uid: 1000, gid: 1000 })
    expect(withoutEngineGroup(undefined, 998)).toBeUndefined()
  })

  const image = {
    passwd: 'root:x:0:0::/root:/bin/sh\ntenant:x:5:5::/:/bin/sh',
    group: 'root:x:0:\nstaff:x:7:\n',
  }

  it('is added to the accounts of the image under a name of its own', () => {
    expect(withAccount(image, { uid: 42, gid: 43 })).toEqual({
      passwd: `${image.passwd}\ntenant2:x:42:43::/workspace:/bin/sh\n`,
      group: `${image.group}tenant2:x:43:\n`,
    })
    expect(withAccount({ passwd: '', group: '' }, { uid: 1, gid: 2 }).passwd).toBe(
      'tenant:x:1:2::/workspace:/bin/sh\n',
    )
  })

  it('leaves accounts alone that the image has already', () => {
    expect(withAccount(image, { uid: 5, gid: 7 })).toEqual(image)
  })
})

describe('the seccomp profile', () => {
  const profile = JSON.parse(seccompProfile()) as {
    defaultAction: string
    syscalls: { names: string[]; action: string }[]
  }
  const allowed = profile.syscalls
    .filter(({ action }) => action === 'SCMP_ACT_ALLOW')
    .flatMap(({ names }) => names)

  it('denies what it does not name, and names nothing twice without a condition', () => {
    expect(profile.defaultAction).toBe('SCMP_ACT_ERRNO')
    const [unconditional] = profile.syscalls
    expect(new Set(unconditional?.names).size).toBe(unconditional?.names.length)
  })

  it.each([
    'io_uring_setup',
    'socketcall',
    'mount',
    'unshare',
    'setns',
    'bpf',
    'keyctl',
    'add_key',
    'userfaultfd',
    'kexec_load',
    'init_module',
    'reboot',
    'open_by_handle_at',
    'perf_event_open',
    'clone3',
    'chroot',
    'pivot_root',
    'swapon',
    'syslog',
    'quotactl',
    'process_madvise',
    'settimeofday',
  ])('never allows %s', (name) => {
    expect(allowed).not.toContain(name)
  })
})
