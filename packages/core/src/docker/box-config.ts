import { posix } from 'node:path'
import type Docker from 'dockerode'
import type { BoxIdentity, PoolIdentity, ResolvedBoxSpec, ResolvedMount } from '../driver.js'
import type { ResolvedDockerOptions } from './options.js'
import { boxLabels } from './ownership.js'
import { seccompProfile } from './seccomp.js'

/** What this engine can enforce; the rest is left out of a box's settings, and warned of. */
export interface Enforcement {
  readonly cpu: boolean
  readonly seccomp: boolean
  /** How many CPUs its machine has. */
  readonly cpus: number
}

/** A uid and gid in the box, and on the engine's machine. */
export interface BoxUser {
  readonly uid: number
  readonly gid: number
}

/** Everything that decides how a box is made. */
export interface BoxPlan {
  readonly pool: PoolIdentity
  readonly identity: BoxIdentity
  readonly spec: ResolvedBoxSpec
  readonly options: ResolvedDockerOptions
  readonly enforcement: Enforcement
  /** Undefined: the image's own. */
  readonly user: BoxUser | undefined
  /** The engine's network to join; undefined: none. */
  readonly network: string | undefined
  /** What the image declares as volumes. */
  readonly volumes: readonly string[]
  /** Whether the tenant's folder holds `passwd` and `group` files for the box. */
  readonly accounts: boolean
}

/** Where the agent's socket and the gateway's are, inside the box and in the tenant's folder. */
export const AGENT_SOCKET = 'agent.sock'
export const WORKSPACE = '/workspace'
const RUN = '/run/tenantbox'
const GATEWAY = '/run/gateway'
const SECRETS = '/run/secrets'

const OPEN_FILES = 8192

/** The body of the engine's create call. Pure: the same plan gives the same box. */
export function createBody(plan: BoxPlan): Docker.ContainerCreateOptions {
  const { spec, user } = plan
  const port = spec.transport === 'socket' ? undefined : `${spec.transport.port}/tcp`
  return {
    Image: spec.image,
    // The whole command line: an image's entry point is not put in front of it.
    ...(spec.command ? { Entrypoint: [...spec.command], Cmd: [] } : {}),
    ...(user ? { User: `${user.uid}:${user.gid}` } : {}),
    Env: environment(spec),
    Labels: { ...boxLabels(plan.pool, plan.identity) },
    StopTimeout: toSeconds(spec.stopGraceMs),
    ...(spec.healthcheck ? {} : { Healthcheck: { Test: ['NONE'] } }),
    ...(port === undefined ? {} : { ExposedPorts: { [port]: {} } }),
    HostConfig: { ...hardened(plan, port), ...plan.options.hostConfig },
  }
}

/** Whole seconds, rounded up: the engine counts no finer. */
export function toSeconds(ms: number): number {
  return Math.ceil(ms / 1000)
}

function hardened(plan: BoxPlan, port: string | undefined): Docker.HostConfig {
  const { spec, options, enforcement } = plan
  const { memory, cpus, pids } = spec.limits
  return {
    CapDrop: ['ALL'],
    SecurityOpt: ['no-new-privileges', ...(enforcement.seccomp ? [`seccomp=${seccompProfile()}`] : [])],
    Privileged: false,
    ReadonlyRootfs: spec.readOnlyRoot,
    // Without noexec, as agents build and run things there; /workspace lets them anyway.
    Tmpfs: { '/tmp': `rw,exec,nosuid,nodev,mode=1777,size=${spec.tmp}` },
    Memory: memory,
    MemorySwap: memory,
    // More than the machine has means no limit, which the engine would refuse.
    ...(enforcement.cpu ? { NanoCpus: Math.round(Math.min(cpus, enforcement.cpus) * 1e9) } : {}),
    PidsLimit: pids,
    Ulimits: [
      { Name: 'nofile', Soft: OPEN_FILES, Hard: OPEN_FILES },
      { Name: 'core', Soft: 0, Hard: 0 },
    ],
    IpcMode: 'private',
    Init: true,
    LogConfig: {
      Type: 'json-file',
      Config: { 'max-size': String(options.logs.maxSize), 'max-file': String(options.logs.maxFiles) },
    },
    RestartPolicy: { Name: 'no' },
    NetworkMode: plan.network ?? 'none',
    PublishAllPorts: false,
    ...(port === undefined ? {} : { PortBindings: { [port]: [{ HostIp: '127.0.0.1', HostPort: '' }] } }),
    // Never Binds: those make a missing folder, as root.
    Mounts: [
      ...mounts(plan).map(({ host, box, readOnly }) => ({
        Type: 'bind' as const,
        Source: host,
        Target: box,
        ReadOnly: readOnly,
        BindOptions: { Propagation: 'rprivate' as const },
      })),
      ...boundedVolumes(plan),
    ],
    ...(options.runtime === undefined ? {} : { Runtime: options.runtime }),
  }
}

function mounts({ pool, identity, spec, options, accounts }: BoxPlan): ResolvedMount[] {
  const root = posix.join(options.hostDataDir ?? pool.dataDir, identity.slug)
  const own = (name: string, box: string, readOnly: boolean) => ({
    host: posix.join(root, name),
    box,
    readOnly,
  })
  return [
    own('workspace', WORKSPACE, false),
    own('run', RUN, false),
    own('gateway', GATEWAY, true),
    own('secrets', SECRETS, true),
    ...(accounts ? [own('passwd', '/etc/passwd', true), own('group', '/etc/group', true)] : []),
    ...spec.mounts,
  ]
}

/**
 * An image's own volumes would be writable though its root is not, and without a limit: disk of the engine's machine
 * that a tenant could fill. In their place is memory, as in `/tmp`, and nothing of what the image has there.
 */
function boundedVolumes(plan: BoxPlan): Docker.MountSettings[] {
  if (!plan.spec.readOnlyRoot) return []
  const taken = new Set(['/tmp', ...mounts(plan).map(({ box }) => asMounted(box))])
  const own = plan.volumes.filter((path) => !taken.has(asMounted(path)))
  const TmpfsOptions = { SizeBytes: plan.spec.tmp, Mode: 0o755 }
  return own.map((path) => ({ Type: 'tmpfs', Source: '', Target: path, TmpfsOptions }))
}

/**
 * A volume of the image, or a mount of the user's, inside a folder that the tenant fills: a symlink in its place would
 * have it mounted anywhere else in the box, over /proc too, before the runtime has closed the box.
 */
export function mountInTenantsFolder({ volumes, spec }: BoxPlan): string | undefined {
  const all = [...volumes, ...spec.mounts.map(({ box }) => box)]
  return all.find((path) => [WORKSPACE, RUN].some((folder) => asMounted(path).startsWith(`${folder}/`)))
}

/** As the engine compares the paths of mounts: one that is not absolute is no other one. */
function asMounted(path: string): string {
  return posix.normalize(path).replace(/(?<=.)\/$/, '')
}

function environment({ env, transport }: ResolvedBoxSpec): string[] {
  const all = {
    HOME: WORKSPACE,
    ...env,
    ...(transport === 'socket'
      ? { TENANTBOX_SOCKET: `${RUN}/${AGENT_SOCKET}` }
      : { TENANTBOX_PORT: String(transport.port) }),
    TENANTBOX_GATEWAY: `${GATEWAY}/gateway.sock`,
    TENANTBOX_SECRETS: SECRETS,
  }
  return Object.entries(all).map(([name, value]) => `${name}=${value}`)
}
