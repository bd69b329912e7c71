import Docker from 'dockerode'
import {
  assertKnownKeys,
  type Duration,
  invalidOption,
  type Size,
  toBytes,
  toMilliseconds,
} from '../units.js'

/** Credentials for pulling one image. Kept out of every error and log. */
export interface RegistryAuth {
  username?: string | undefined
  password?: string | undefined
  /** The registry's address. @default the engine's idea of the image's registry */
  serveraddress?: string | undefined
  identitytoken?: string | undefined
}

/** Where the engine is (`socketPath`, `host` and `port`, or `client`; default: `DOCKER_HOST`, else the usual socket), and how its boxes are made. */
export interface DockerOptions {
  /** The engine's unix socket. */
  socketPath?: string | undefined
  /** The engine's host, spoken to in plain HTTP. For TLS pass a `client`, or set `DOCKER_HOST` and `DOCKER_CERT_PATH`. */
  host?: string | undefined
  /** @default 2375 */
  port?: number | undefined
  /** A dockerode client of your own; the driver leaves its connections alone. */
  client?: Docker | undefined
  /** The pool's `dataDir` as the engine's machine names it: needed when the gateway itself runs in a container. @default the pool's dataDir */
  hostDataDir?: string | undefined
  /**
   * When to ask the registry: for images the engine lacks, at every wake that starts a box, or never.
   * @default 'missing'
   */
  pull?: 'missing' | 'always' | 'never' | undefined
  /** The OCI runtime, such as `'runsc'` for gVisor; it must be registered with the engine. @default the engine's */
  runtime?: string | undefined
  /** Of images with several, such as `'linux/arm64'`. @default the engine's */
  platform?: string | undefined
  /**
   * Last resort: laid over the `HostConfig` of every box, key by key. It can undo every protection, which `start()`
   * then warns of. `Binds` and `Mounts` are refused: that is what `box.mounts` is for.
   */
  hostConfig?: Docker.HostConfig | undefined
  /**
   * Uids for `user: 'per-tenant'`, both ends included. Nothing else on the engine's machine may use them.
   * @default 1_879_048_192 to 2_147_483_646, which systemd leaves unused
   */
  uids?: { first: number; last: number } | undefined
  /** Longest wait for the engine to answer one call; a stop's grace comes on top. @default '30s' */
  callTimeout?: Duration | undefined
  /** Rotation of each box's log. @default files of at most 1 MiB, 3 of them */
  logs?: { maxSize?: Size | undefined; maxFiles?: number | undefined } | undefined
  /** Credentials for pulls: the same for all images, or looked up by image. @default none */
  auth?:
    | RegistryAuth
    | ((image: string) => RegistryAuth | undefined | Promise<RegistryAuth | undefined>)
    | undefined
}

export interface ResolvedDockerOptions {
  readonly client: Docker
  /** Whether the driver made the client, and so closes its connections. */
  readonly ownsClient: boolean
  readonly hostDataDir: string | undefined
  readonly pull: 'missing' | 'always' | 'never'
  readonly runtime: string | undefined
  readonly platform: string | undefined
  readonly hostConfig: Readonly<Docker.HostConfig>
  readonly uids: { readonly first: number; readonly last: number }
  /** Milliseconds. */
  readonly callTimeout: number
  readonly logs: { readonly maxSize: number; readonly maxFiles: number }
  readonly authFor: (image: string) => Promise<RegistryAuth | undefined>
}

const KEYS = [
  'socketPath',
  'host',
  'port',
  'client',
  'hostDataDir',
  'pull',
  'runtime',
  'platform',
  'hostConfig',
  'uids',
  'callTimeout',
  'logs',
  'auth',
] as const

/** @throws TenantBoxError `INVALID_OPTION`, naming the option, what it must be and what it got. */
export function resolveDockerOptions(options: DockerOptions): ResolvedDockerOptions {
  assertKnownKeys('', options, KEYS)
  return Object.freeze({
    client: clientOf(options),
    ownsClient: options.client === undefined,
    hostDataDir: absolutePath('hostDataDir', options.hostDataDir),
    pull: pullPolicy(options.pull ?? 'missing'),
    runtime: text('runtime', options.runtime),
    platform: text('platform', options.platform),
    hostConfig: hostConfigOf(options.hostConfig ?? {}),
    uids: uidRange(options.uids ?? { first: 1_879_048_192, last: 2_147_483_646 }),
    callTimeout: atLeastOne('callTimeout', toMilliseconds('callTimeout', options.callTimeout ?? 30_000)),
    logs: logRotation(options.logs ?? {}),
    authFor: authLookup(options.auth),
  })
}

function clientOf({ client, socketPath, host, port }: DockerOptions): Docker {
  const ways = Object.entries({ client, socketPath, host }).filter(([, value]) => value !== undefined)
  if (ways.length > 1)
    throw invalidOption(
      ways[1]?.[0] ?? 'client',
      `left out beside ${ways[0]?.[0]}: one way to the engine`,
      'another one',
    )
  if (client !== undefined) {
    if (typeof client?.getContainer !== 'function')
      throw invalidOption('client', 'a dockerode client', client)
    return client
  }
  if (port !== undefined && host === undefined) throw invalidOption('port', 'left out without a host', port)
  if (port !== undefined && (!Number.isInteger(port) || port < 1 || port > 65_535))
    throw invalidOption('port', 'a port from 1 to 65535', port)
  // What DOCKER_HOST says must not win over an option: dockerode prefers any host it knows to a socket path.
  const plain = { protocol: 'http', ca: undefined, cert: undefined, key: undefined } as const
  if (socketPath !== undefined)
    return new Docker({
      ...plain,
      host: undefined,
      port: undefined,
      socketPath: text('socketPath', socketPath),
    })
  if (host !== undefined) return new Docker({ ...plain, host: text('host', host), port: port ?? 2375 })
  try {
    return new Docker()
  } catch {
    // dockerode's own message repeats the variable, which may hold a password.
    throw invalidOption('DOCKER_HOST', 'an address such as unix:///var/run/docker.sock', 'something else')
  }
}

function text(option: string, value: unknown): string | undefined {
  if (value === undefined || (typeof value === 'string' && value !== '' && !value.includes('\0')))
    return value
  throw invalidOption(option, 'a string that is not empty', value)
}

function absolutePath(option: string, value: unknown): string | undefined {
  const path = text(option, value)
  if (path === undefined || path.startsWith('/')) return path
  throw invalidOption(option, "an absolute path on the engine's machine", path)
}

function pullPolicy(value: unknown): ResolvedDockerOptions['pull'] {
  if (value === 'missing' || value === 'always' || value === 'never') return value
  throw invalidOption('pull', "'missing', 'always' or 'never'", value)
}

function hostConfigOf(value: unknown): Readonly<Docker.HostConfig> {
  if (value === null || typeof value !== 'object' || Array.isArray(value))
    throw invalidOption('hostConfig', 'an object', value)
  for (const key of ['Binds', 'Mounts'])
    if (key in value) throw invalidOption(`hostConfig.${key}`, 'left out: use box.mounts', 'a value')
  return value
}

function uidRange(value: unknown): ResolvedDockerOptions['uids'] {
  assertKnownKeys('uids', value, ['first', 'last'])
  const { first, last } = value as { first?: unknown; last?: unknown }
  return { first: uid('uids.first', first, 1), last: uid('uids.last', last, uid('uids.first', first, 1)) }
}

function uid(option: string, value: unknown, least: number): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= 2_147_483_646)
    return value
  throw invalidOption(option, `a uid from ${least} to 2147483646`, value)
}

function logRotation(value: unknown): ResolvedDockerOptions['logs'] {
  assertKnownKeys('logs', value, ['maxSize', 'maxFiles'])
  const { maxSize, maxFiles } = value as { maxSize?: unknown; maxFiles?: unknown }
  const files = maxFiles ?? 3
  if (typeof files !== 'number' || !Number.isInteger(files))
    throw invalidOption('logs.maxFiles', 'a whole number', files)
  return {
    maxSize: toBytes('logs.maxSize', maxSize ?? 1024 ** 2),
    maxFiles: atLeastOne('logs.maxFiles', files),
  }
}

function atLeastOne(option: string, value: number): number {
  if (value >= 1) return value
  throw invalidOption(option, 'at least 1', value)
}

function authLookup(auth: DockerOptions['auth']): ResolvedDockerOptions['authFor'] {
  if (typeof auth === 'function') return async (image) => auth(image)
  if (auth !== undefined)
    assertKnownKeys('auth', auth, ['username', 'password', 'serveraddress', 'identitytoken'])
  return async () => auth
}
