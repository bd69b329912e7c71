import { stat } from 'node:fs/promises'
import type { DriverReport, DriverWarning } from '../driver.js'
import { errnoOf } from '../errno.js'
import { TenantBoxError } from '../errors.js'
import { startWarning } from '../warnings.js'
import { type AssignedIds, readAssignedIds, within } from './assigned-ids.js'
import type { BoxUser, Enforcement } from './box-config.js'
import type { Endpoint } from './engine-failure.js'
import type { ResolvedDockerOptions } from './options.js'
import { LET_SOCKETS_CROSS, type RegisteredRuntime, reachOf } from './runtime.js'

/** The oldest API this driver speaks: Docker 20.10. */
const OLDEST_API = [1, 41] as const
const NOGROUP = 65_534

/** What the driver reads of the engine's `/version`. */
export interface EngineVersion {
  readonly Version: string
  readonly ApiVersion: string
  readonly Os?: string
  readonly Arch?: string
  readonly Components?: readonly { readonly Name: string }[]
}

/** What the driver reads of the engine's `/info`. */
export interface EngineInfo {
  readonly OSType?: string
  readonly OperatingSystem: string
  readonly DockerRootDir: string
  readonly SystemTime?: string
  readonly NCPU: number
  readonly MemoryLimit: boolean
  readonly SwapLimit: boolean
  readonly CpuCfsQuota: boolean
  readonly PidsLimit: boolean
  readonly LiveRestoreEnabled: boolean
  readonly SecurityOptions?: readonly string[] | null
  readonly Runtimes?: Readonly<Record<string, RegisteredRuntime>>
}

/** What this process is, and how it sees the engine. */
export interface GatewayFacts {
  readonly platform: NodeJS.Platform
  /** Undefined where there are no uids. */
  readonly user: BoxUser | undefined
  readonly endpoint: Endpoint
  /** Owner of the engine's socket; undefined when that is not to be seen. */
  readonly socketGid: number | undefined
  /** Whether the engine's own data folder exists here: a sign that both see the same files. */
  readonly seesEngineFiles: boolean
  /** Uids and gids that this machine gives to others. */
  readonly assignedIds: readonly AssignedIds[]
}

/** What is known of the engine as long as the driver is open. */
export interface Probed {
  readonly report: DriverReport
  readonly enforcement: Enforcement
  /** What a box runs as when its spec does not say. */
  readonly defaultUser: BoxUser | undefined
  readonly socketGid: number | undefined
  /** Milliseconds to add to this machine's clock for the engine's. */
  readonly clockSkew: number
}

export async function gatewayFacts(endpoint: Endpoint, info: EngineInfo): Promise<GatewayFacts> {
  const { getuid, getgid } = process
  return {
    platform: process.platform,
    user: getuid && getgid ? { uid: getuid(), gid: getgid() } : undefined,
    endpoint,
    socketGid: endpoint.kind === 'socket' ? await gidOf(endpoint.address) : undefined,
    seesEngineFiles: await exists(info.DockerRootDir),
    assignedIds: await readAssignedIds(),
  }
}

async function gidOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).gid
  } catch {
    // It answers, so it is there; what cannot be seen here cannot be handed to a box either.
    return undefined
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    // Anything else, such as EACCES, tells that something is there that is not for us.
    return errnoOf(error) !== 'ENOENT'
  }
}

/** @throws TenantBoxError `UNSUPPORTED_ENGINE` */
export function assertSupported(
  endpoint: Endpoint,
  { ApiVersion, Version }: EngineVersion,
  info: EngineInfo,
  { runtime }: Pick<ResolvedDockerOptions, 'runtime'>,
): void {
  const fail = (missing: string, advice: string): never => {
    throw new TenantBoxError(
      'UNSUPPORTED_ENGINE',
      `The engine at ${endpoint.address} lacks ${missing}. ${advice}`,
      {
        endpoint: endpoint.address,
        missing,
      },
    )
  }
  const [major = 0, minor = 0] = ApiVersion.split('.').map(Number)
  if (major < OLDEST_API[0] || (major === OLDEST_API[0] && minor < OLDEST_API[1]))
    fail(
      `API ${OLDEST_API.join('.')}`,
      `It is version ${Version} with API ${ApiVersion}; use Docker 20.10 or newer.`,
    )
  if (info.OSType !== undefined && info.OSType !== 'linux')
    fail('Linux containers', `Switch it to Linux containers; it runs those of ${info.OSType}.`)
  if (runtime !== undefined && info.Runtimes && !(runtime in info.Runtimes))
    fail(`the runtime ${runtime}`, 'Register it in daemon.json, or leave docker({ runtime }) out.')
  if (reachOf(runtimeOf(info, runtime)) === 'nothing')
    fail(`a way to boxes under ${runtime}, which has neither a network nor shared sockets`, LET_SOCKETS_CROSS)
}

/** Pure: what the engine's facts mean for boxes. */
export function probe(
  version: EngineVersion,
  info: EngineInfo,
  gateway: GatewayFacts,
  options: Pick<ResolvedDockerOptions, 'uids' | 'hostDataDir' | 'hostConfig' | 'runtime'>,
  now: number,
): Probed {
  const security = new Set(
    (info.SecurityOptions ?? []).map((option) => /name=([^,]*)/.exec(option)?.[1] ?? option),
  )
  const remapped = security.has('rootless') || security.has('userns')
  const local = gateway.platform === 'linux' && gateway.endpoint.kind === 'socket' && !isDesktop(info)
  const crossing = reachOf(runtimeOf(info, options.runtime)) === 'socket'
  const perTenant = local && !remapped && gateway.user?.uid === 0
  const warnings: (DriverWarning | false)[] = [
    !perTenant &&
      startWarning(
        'SHARED_UID',
        `All boxes share one uid, so one tenant can use up another's per-user limits. ${sharedWhy(gateway, remapped, local)}`,
      ),
    ...(perTenant ? within(gateway.assignedIds, options.uids) : []).map(({ holder, first, last }) =>
      startWarning(
        'UIDS_IN_USE',
        `The uids for tenants (${options.uids.first}-${options.uids.last}) are not theirs alone: ${holder} has ${first}${last === first ? '' : `-${last}`}. Choose others with docker({ uids }).`,
      ),
    ),
    remapped &&
      startWarning(
        'REMAPPED_UIDS',
        'The engine maps uids (rootless or userns-remap): a box may be unable to write its folders or to share a socket with the gateway. Wake one before relying on it.',
      ),
    !info.MemoryLimit &&
      startWarning(
        'NO_MEMORY_LIMIT',
        "The engine cannot limit memory: one box can take all of the machine's. Enable the memory cgroup.",
      ),
    info.MemoryLimit &&
      !info.SwapLimit &&
      startWarning(
        'NO_SWAP_LIMIT',
        'The engine cannot limit swap: a box can use more than its memory limit. Boot with swapaccount=1.',
      ),
    !info.CpuCfsQuota &&
      startWarning('NO_CPU_LIMIT', 'The engine cannot limit CPU: boxes run without that limit.'),
    !info.PidsLimit &&
      startWarning(
        'NO_PIDS_LIMIT',
        'The engine cannot limit processes: one box can use up all of the machine. Enable the pids cgroup.',
      ),
    !security.has('seccomp') &&
      startWarning('NO_SECCOMP', 'The engine has no seccomp: boxes can use every system call of the kernel.'),
    !local &&
      options.hostDataDir === undefined &&
      startWarning(
        'OTHER_FILES',
        "The engine runs on another machine or in a virtual one: the pool's dataDir must be shared with it under the same path, or set docker({ hostDataDir }).",
      ),
    local &&
      !gateway.seesEngineFiles &&
      options.hostDataDir === undefined &&
      startWarning(
        'OTHER_FILES',
        'This process does not see the files that the engine sees; it probably runs in a container. Set docker({ hostDataDir }) to the path of dataDir on the host.',
      ),
    !crossing &&
      startWarning(
        'SOCKETS_CANNOT_CROSS',
        `The runtime ${options.runtime} keeps unix sockets in the box: the gateway cannot use its agent's, nor the box the gateway's. ${LET_SOCKETS_CROSS}`,
      ),
    ...Object.keys(options.hostConfig).map((key) =>
      startWarning('HOST_CONFIG', `docker({ hostConfig }) overrides ${key} of every box.`),
    ),
  ]
  return {
    report: {
      engine: engineName(version, info),
      warnings: warnings.filter((entry) => entry !== false),
      transport: local && crossing ? 'socket' : 'port',
      uids: perTenant ? options.uids : undefined,
    },
    enforcement: { cpu: info.CpuCfsQuota, seccomp: security.has('seccomp'), cpus: info.NCPU },
    // A rootless engine's root is the gateway's own user; any other uid could not use the tenant's folders.
    defaultUser: security.has('rootless') && gateway.user ? { uid: 0, gid: 0 } : gateway.user,
    socketGid: gateway.socketGid,
    clockSkew: (info.SystemTime ? Date.parse(info.SystemTime) : now) - now || 0,
  }
}

/** The user as given, but never in the group that may use the engine's socket. */
export function withoutEngineGroup(
  user: BoxUser | undefined,
  socketGid: number | undefined,
): BoxUser | undefined {
  return user && user.gid === socketGid ? { uid: user.uid, gid: NOGROUP } : user
}

function engineName({ Version, ApiVersion, Components }: EngineVersion, info: EngineInfo): string {
  const product = Components?.some(({ Name }) => Name.includes('Podman')) ? 'Podman' : 'Docker'
  const restart = info.LiveRestoreEnabled ? 'boxes outlive its restart' : 'its restart ends boxes'
  return `${product} ${Version} (API ${ApiVersion}, ${info.OperatingSystem}, ${restart})`
}

function runtimeOf({ Runtimes }: EngineInfo, name: string | undefined): RegisteredRuntime | undefined {
  return name === undefined ? undefined : Runtimes?.[name]
}

function isDesktop({ OperatingSystem }: EngineInfo): boolean {
  return OperatingSystem.includes('Docker Desktop')
}

function sharedWhy({ user }: GatewayFacts, remapped: boolean, local: boolean): string {
  if (remapped) return 'The engine maps uids itself.'
  if (!local) return "This process cannot set the owner of files on the engine's machine."
  return `The gateway runs as uid ${user?.uid ?? 'unknown'}; as root it gives every tenant a uid of its own.`
}
