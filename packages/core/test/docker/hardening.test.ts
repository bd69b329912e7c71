import { describe, expect, it } from 'vitest'
import type { BoxRef, Driver } from '../../src/driver.js'
import { engine, makeWorld, shell, specOf, useToolImage } from './world.js'

const image = useToolImage()
const EPERM = 'Operation not permitted'

/** What a shell command in the box prints; it must succeed. */
async function printed(driver: Driver, ref: BoxRef, script: string): Promise<string> {
  const { stdout, stderr, code } = await shell(driver, ref, script)
  expect(`${stderr}${code}`, script).toBe('0')
  return stdout.trim()
}

/** What perl says of a system call: empty when it works. */
function perl(driver: Driver, ref: BoxRef, call: string): Promise<string> {
  return printed(driver, ref, `perl -e 'print "$!" unless defined(${call}) && (${call}) != -1'`)
}

async function startedBox(changes: Parameters<typeof specOf>[1] = {}) {
  const world = await makeWorld()
  const ref = await world.box('ann', specOf(image, changes))
  await world.driver.start(ref)
  return { ...world, ref }
}

describe('inside a box', () => {
  it('runs as a uid and gid of its own, and no other group, with a name and a home', async () => {
    const { driver, ref, report, box } = await startedBox()
    const uid = Number(await printed(driver, ref, 'id -u'))
    expect(uid).toBeGreaterThanOrEqual(report.uids?.first ?? 0)
    expect(uid).toBeLessThanOrEqual(report.uids?.last ?? 0)
    expect(await printed(driver, ref, 'id -G')).toBe(String(uid))
    expect(await printed(driver, ref, 'id -un; id -gn')).toBe('tenant\ntenant')
    expect(await printed(driver, ref, `perl -e 'print +(getpwuid $>)[7]'`)).toBe('/workspace')

    const other = await box('bob', specOf(image))
    await driver.start(other)
    expect(await printed(driver, other, 'id -u')).not.toBe(String(uid))
  })

  it("keeps the image's own accounts, and refuses to change them", async () => {
    const { driver, ref } = await startedBox()
    expect(await printed(driver, ref, 'id -u image-user; id -g image-user')).toBe('1234\n1234')
    expect((await shell(driver, ref, 'echo x >> /etc/passwd')).code).not.toBe(0)
  })

  it('has no capabilities, gains no privileges and is filtered, also in what is spawned into it', async () => {
    const { driver, ref } = await startedBox()
    for (const process of [
      'self',
      '1',
      '$(cd /proc; for p in [0-9]*; do echo $p; done | grep -v "^1$" | grep -m1 .)',
    ]) {
      const status = await printed(driver, ref, `cat /proc/${process}/status`)
      for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'])
        expect(status).toMatch(new RegExp(`^${set}:\\s+0+$`, 'm'))
      expect(status).toMatch(/^NoNewPrivs:\s+1$/m)
      expect(status).toMatch(/^Seccomp:\s+2$/m)
    }
  })

  it('may open the sockets that programs use, and none that reach the hypervisor or the crypto API', async () => {
    const { driver, ref } = await startedBox()
    const [unix, inet, inet6, netlink, alg, vsock, stream, raw] = [1, 2, 10, 16, 38, 40, 1, 3]
    for (const family of [unix, inet, inet6])
      expect(await perl(driver, ref, `socket(S, ${family}, ${stream}, 0)`)).toBe('')
    expect(await perl(driver, ref, `socket(S, ${netlink}, ${raw}, 0)`)).toBe('')
    for (const family of [alg, vsock])
      expect(await perl(driver, ref, `socket(S, ${family}, ${stream}, 0)`)).toBe(EPERM)
    expect(await perl(driver, ref, `socket(S, ${inet}, ${raw}, 1)`)).toBe(EPERM)
  })

  it('may not use io_uring, namespaces, mounts, keys or the kernel log', async () => {
    const { driver, ref } = await startedBox()
    const [ioUringSetup, ioUringEnter, ioUringRegister] = [425, 426, 427]
    for (const number of [ioUringSetup, ioUringEnter, ioUringRegister])
      expect(await perl(driver, ref, `syscall(${number}, 1, 0, 0, 0, 0, 0)`)).toBe(EPERM)
    const [openTree, fsopen, clone3] = [428, 430, 435]
    for (const number of [openTree, fsopen])
      expect(await perl(driver, ref, `syscall(${number}, 0, 0, 0)`)).toBe(EPERM)
    expect(await perl(driver, ref, `syscall(${clone3}, 0, 0)`)).toBe('Function not implemented')
    expect((await shell(driver, ref, 'cat /proc/kcore')).code).not.toBe(0)
  })

  it('may not make namespaces by the calls of x86-64', async (context) => {
    if (process.arch !== 'x64') return context.skip('only x86-64 has these')
    const { driver, ref } = await startedBox()
    const [clone, unshare, keyctl, bpf, newUser] = [56, 272, 250, 321, 0x10000000]
    expect(await perl(driver, ref, `syscall(${unshare}, ${newUser})`)).toBe(EPERM)
    expect(await perl(driver, ref, `syscall(${clone}, ${newUser} | 17, 0, 0, 0, 0)`)).toBe(EPERM)
    for (const number of [keyctl, bpf])
      expect(await perl(driver, ref, `syscall(${number}, 0, 0, 0, 0, 0)`)).toBe(EPERM)
  })

  it('may write its workspace, its run folder and /tmp, and nothing else', async () => {
    const { driver, ref } = await startedBox()
    for (const folder of ['/workspace', '/run/tenantbox', '/tmp'])
      await printed(driver, ref, `echo x > ${folder}/x`)
    for (const folder of ['/', '/etc', '/run', '/run/gateway', '/run/secrets', '/usr', '/sys/fs/cgroup'])
      expect((await shell(driver, ref, `echo x > ${folder}/x`)).code, folder).not.toBe(0)
    expect(await printed(driver, ref, 'cat /run/secrets/token')).toBe('a secret')
  })

  it('mounts its folders privately, and /tmp in memory, without devices or setuid, but executable', async () => {
    const { driver, ref } = await startedBox({ tmp: 1024 ** 2 })
    const mounts = (await printed(driver, ref, 'cat /proc/self/mounts'))
      .split('\n')
      .map((line) => line.split(' '))
    const flags = (path: string) => mounts.find((mount) => mount[1] === path)?.[3]?.split(',') ?? []
    expect(mounts.find((mount) => mount[1] === '/')?.[3]).toMatch(/^ro,/)
    expect(flags('/run/gateway')).toContain('ro')
    expect(flags('/run/secrets')).toContain('ro')
    expect(flags('/tmp')).toEqual(expect.arrayContaining(['rw', 'nosuid', 'nodev', 'size=1024k']))
    expect(flags('/tmp')).not.toContain('noexec')
    expect(
      await printed(
        driver,
        ref,
        `printf '#!/bin/sh\necho run\n' > /tmp/tool; perl -e 'chmod 0755, "/tmp/tool"'; /tmp/tool`,
      ),
    ).toBe('run')
    expect(
      (await shell(driver, ref, `perl -e 'open F, ">", "/tmp/big"; print F "x" x 2_000_000; close F or die'`))
        .code,
    ).not.toBe(0)
    const shared = await printed(driver, ref, 'grep "shared:\\|master:" /proc/self/mountinfo || :')
    expect(shared).not.toMatch(/ \/(workspace|run|etc)/)
  })

  it('leaves the root writable when its spec says so', async () => {
    const { driver, ref } = await startedBox({ readOnlyRoot: false, user: { uid: 0, gid: 65_534 } })
    await printed(driver, ref, 'echo x > /x')
  })

  it('is bounded in memory, swap, CPU, processes, open files and core dumps', async () => {
    const limits = { memory: 48 * 1024 ** 2, cpus: 0.5, pids: 24, disk: undefined }
    const { driver, ref } = await startedBox({ limits })
    const v2 = (await shell(driver, ref, 'cat /sys/fs/cgroup/cgroup.controllers')).code === 0
    const read = (v1: string, unified: string) =>
      printed(driver, ref, `cat /sys/fs/cgroup/${v2 ? unified : v1}`)
    expect(await read('memory/memory.limit_in_bytes', 'memory.max')).toBe(String(limits.memory))
    expect(await read('memory/memory.memsw.limit_in_bytes', 'memory.swap.max')).toBe(
      v2 ? '0' : String(limits.memory),
    )
    expect(await read('pids/pids.max', 'pids.max')).toBe('24')
    const quota = await read('cpu/cpu.cfs_quota_us', 'cpu.max')
    expect(quota.split(' ')[0]).toBe('50000')
    expect(await printed(driver, ref, 'ulimit -n; ulimit -Hn; ulimit -c')).toBe('8192\n8192\n0')
    const forked = await printed(
      driver,
      ref,
      `perl -e 'while (defined($p = fork)) { if (!$p) { sleep 60; exit } push @p, $p } print scalar @p; kill 9, @p'`,
    )
    expect(Number(forked)).toBeLessThan(24)
  })

  it('sees no network but its own loopback, no other processes, no shared memory of others', async () => {
    const { driver, ref, box } = await startedBox()
    const interfaces = (await printed(driver, ref, 'cat /proc/net/dev')).match(/^\s*\S+:/gm)
    expect(interfaces?.map((name) => name.trim())).toEqual(['lo:'])
    expect(await printed(driver, ref, 'cat /proc/1/comm')).toMatch(/init|tini/)
    const other = await box('bob', specOf(image))
    await driver.start(other)
    await printed(driver, ref, 'echo x > /dev/shm/x')
    expect((await shell(driver, other, 'ls /dev/shm/x')).code).not.toBe(0)
  })

  it('is told where things are, and not who its tenant is', async () => {
    const { driver, ref } = await startedBox({ env: { PLAN: 'pro', TENANTBOX_GATEWAY: '/elsewhere' } })
    const names = ['HOME', 'PLAN', 'TENANTBOX_SOCKET', 'TENANTBOX_GATEWAY', 'TENANTBOX_TENANT']
    expect(await printed(driver, ref, names.map((name) => `echo "$${name}"`).join(';'))).toBe(
      ['/workspace', 'pro', '/run/tenantbox/agent.sock', '/run/gateway/gateway.sock', ''].join('\n').trim(),
    )
  })
})

describe('what the engine was told', () => {
  it('restarts nothing, publishes nothing, rotates logs, shares no namespace and binds only by mounts', async () => {
    const { ref, pool } = await startedBox()
    const { HostConfig, Config, Mounts } = await engine.getContainer(ref.id).inspect()
    expect(HostConfig).toMatchObject({
      Binds: null,
      CapDrop: ['ALL'],
      CapAdd: null,
      Privileged: false,
      NetworkMode: 'none',
      PublishAllPorts: false,
      PidMode: '',
      IpcMode: 'private',
      Init: true,
      RestartPolicy: { Name: 'no', MaximumRetryCount: 0 },
      LogConfig: { Type: 'json-file', Config: { 'max-size': '1048576', 'max-file': '3' } },
    })
    expect(HostConfig.PortBindings ?? {}).toEqual({})
    expect(Config.Healthcheck).toEqual({ Test: ['NONE'] })
    const folder = `${pool.dataDir}/ann`
    expect(
      Object.fromEntries(
        Mounts.map((mount) => [mount.Destination, `${mount.Source} ${mount.RW ? 'rw' : 'ro'}`]),
      ),
    ).toEqual({
      '/workspace': `${folder}/workspace rw`,
      '/run/tenantbox': `${folder}/run rw`,
      '/run/gateway': `${folder}/gateway ro`,
      '/run/secrets': `${folder}/secrets ro`,
      '/etc/passwd': `${folder}/passwd ro`,
      '/etc/group': `${folder}/group ro`,
    })
  })
})

describe('last resorts', () => {
  it('lay single settings over the rest, which stays', async () => {
    const { driver, report, box } = await makeWorld({
      hostConfig: { ShmSize: 1024 ** 2 },
      logs: { maxSize: '2m', maxFiles: 5 },
    })
    const ref = await box('ann', specOf(image))
    const { HostConfig } = await engine.getContainer(ref.id).inspect()
    expect(HostConfig).toMatchObject({
      ShmSize: 1024 ** 2,
      CapDrop: ['ALL'],
      LogConfig: { Config: { 'max-size': '2097152', 'max-file': '5' } },
    })
    expect(report.warnings.map(({ code }) => code)).toContain('HOST_CONFIG')
    await driver.start(ref)
  })

  it("use the image's health check only when asked to, and say when there is none", async () => {
    const name = `${image}-health`
    const Healthcheck = { Test: ['CMD-SHELL', 'exit 0'], Interval: 100_000_000 }
    const source = await engine.createContainer({ Image: image, Cmd: ['-'], Healthcheck } as object)
    const [repo, tag] = name.split(':')
    await source.commit({ repo, tag })
    await source.remove()
    const { driver, box } = await makeWorld()
    try {
      const checked = await box('ann', specOf(name, { healthcheck: true }))
      await driver.start(checked)
      await expect.poll(() => driver.health?.(checked)).toBe('healthy')
      const unchecked = await box('bob', specOf(name))
      await driver.start(unchecked)
      await expect(driver.health?.(unchecked)).rejects.toThrow('HEALTHCHECK')
      await driver.remove(checked)
      await driver.remove(unchecked)
    } finally {
      await engine.getImage(name).remove({ force: true })
    }
  })

  it('mount what the user names, read-only unless told otherwise', async () => {
    const mounts = [{ host: '/etc/hostname', box: '/extra/hostname', readOnly: true }]
    const { driver, ref } = await startedBox({ mounts })
    expect(await printed(driver, ref, 'cat /extra/hostname')).not.toBe('')
    expect((await shell(driver, ref, 'echo x > /extra/hostname')).code).not.toBe(0)
  })
})
