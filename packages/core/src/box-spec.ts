import type { ResolvedBoxSpec } from './driver.js'
import type { Readiness } from './readiness.js'
import { assertKnownKeys, type Duration, invalidOption, type Size, toBytes, toMilliseconds } from './units.js'

/** What a box is made of. */
export interface BoxSpec {
  /** Image reference. */
  image: string
  /** Replaces the image's own command. @default the image's */
  command?: readonly string[] | undefined
  /** Environment of the box. Anybody who can inspect the box reads it: secrets go to `secrets`. @default {} */
  env?: Readonly<Record<string, string>> | undefined
  /**
   * Files in /run/secrets, by name; rewritten before each start, and no part of the drift hash. Better still, keep the
   * secret in the gateway and let the box ask for what it does (`pool.serve`). @default {}
   */
  secrets?: Readonly<Record<string, string>> | undefined
  limits?:
    | {
        /** Memory, without extra swap. @default '512m' */
        memory?: Size | undefined
        /** CPUs, in parts too. @default 1 */
        cpus?: number | undefined
        /** Processes and threads. @default 256 */
        pids?: number | undefined
        /** Bytes of the tenant's folders. @default unlimited */
        disk?: Size | undefined
      }
    | undefined
  /**
   * `none`: no interface but its own loopback. `internet`: a bridge of the pool, boxes apart from one another.
   * `{ name }`: an existing network of the engine. @default 'none'
   */
  network?: 'none' | 'internet' | { name: string } | undefined
  /** How the gateway reaches the agent: its unix socket, or a TCP port published on 127.0.0.1. @default 'auto' */
  transport?: 'auto' | 'socket' | { port: number } | undefined
  /** When a started box counts as ready. @default 'agent' */
  ready?: Readiness | undefined
  /**
   * `per-tenant`: a uid of its own, kept as long as the tenant's folder. `gateway`: this process's.
   * @default 'per-tenant' where the driver can give one, else 'gateway'
   */
  user?: 'per-tenant' | 'gateway' | `${number}:${number}` | undefined
  /** From SIGTERM to SIGKILL. @default '10s' */
  stopGrace?: Duration | undefined
  /**
   * Further folders of the engine's machine, outside of the tenant's own in the box. Whatever is writable here, tenants
   * may share.
   *
   * @default []
   */
  mounts?:
    | readonly {
        /** Absolute, as the engine's machine names it. */
        host: string
        /** Absolute. */
        box: string
        /** @default true */
        readOnly?: boolean
      }[]
    | undefined
  /** Whether the box can write nothing but its folders, `/tmp` and writable `mounts`. @default true */
  readOnlyRoot?: boolean | undefined
  /** Size of the in-memory /tmp. @default '64m' */
  tmp?: Size | undefined
}

/** A `BoxSpec` with every default filled in, not yet any tenant's. */
export interface BoxTemplate extends Omit<ResolvedBoxSpec, 'user' | 'transport' | 'healthcheck'> {
  readonly secrets: Readonly<Record<string, string>>
  readonly ready: Readiness
  readonly user: 'per-tenant' | 'gateway' | { readonly uid: number; readonly gid: number } | undefined
  readonly transport: 'auto' | 'socket' | { readonly port: number }
}

/** What is needed of a template as long as its box lives: not its secrets. */
export type Upkeep = Pick<BoxTemplate, 'ready' | 'stopGraceMs'>

const KEYS = [
  'image',
  'command',
  'env',
  'secrets',
  'limits',
  'network',
  'transport',
  'ready',
  'user',
  'stopGrace',
  'mounts',
  'readOnlyRoot',
  'tmp',
] as const satisfies readonly (keyof BoxSpec)[]

const USER = /^(\d{1,10}):(\d{1,10})$/
const ENV_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/
const SECRET_NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/
const SMALLEST_MEMORY = 6 * 1024 ** 2

/** @throws TenantBoxError `INVALID_OPTION`, naming the option below `option`. */
export function resolveBoxSpec(option: string, spec: unknown): BoxTemplate {
  assertKnownKeys(option, spec, KEYS)
  const given = spec as BoxSpec
  const limits = given.limits ?? {}
  assertKnownKeys(`${option}.limits`, limits, ['memory', 'cpus', 'pids', 'disk'])
  return Object.freeze({
    image: nonEmpty(`${option}.image`, given.image),
    command: given.command === undefined ? undefined : commandOf(`${option}.command`, given.command),
    env: strings(`${option}.env`, given.env ?? {}, ENV_NAME),
    secrets: strings(`${option}.secrets`, given.secrets ?? {}, SECRET_NAME),
    limits: {
      memory: memoryOf(`${option}.limits.memory`, limits.memory ?? '512m'),
      cpus: cpusOf(`${option}.limits.cpus`, limits.cpus ?? 1),
      pids: positiveInteger(`${option}.limits.pids`, limits.pids ?? 256),
      disk: limits.disk === undefined ? undefined : toBytes(`${option}.limits.disk`, limits.disk),
    },
    network: networkOf(`${option}.network`, given.network ?? 'none'),
    transport: transportOf(`${option}.transport`, given.transport ?? 'auto'),
    ready: readinessOf(`${option}.ready`, given.ready ?? 'agent'),
    user: given.user === undefined ? undefined : userOf(`${option}.user`, given.user),
    stopGraceMs: toMilliseconds(`${option}.stopGrace`, given.stopGrace ?? '10s'),
    mounts: mountsOf(`${option}.mounts`, given.mounts ?? []),
    readOnlyRoot: booleanOf(`${option}.readOnlyRoot`, given.readOnlyRoot ?? true),
    tmp: toBytes(`${option}.tmp`, given.tmp ?? '64m'),
  })
}

function nonEmpty(option: string, value: unknown): string {
  if (typeof value !== 'string' || value.trim() === '' || value.includes('\0'))
    throw invalidOption(option, 'a non-empty string', value)
  return value
}

function commandOf(option: string, value: unknown): readonly string[] {
  if (
    !Array.isArray(value) ||
    value.length === 0 ||
    !value.every((word) => typeof word === 'string' && !word.includes('\0'))
  )
    throw invalidOption(option, 'a non-empty array of strings', value)
  return Object.freeze([...value])
}

function strings(option: string, value: unknown, name: RegExp): Readonly<Record<string, string>> {
  if (value === null || typeof value !== 'object' || Array.isArray(value))
    throw invalidOption(option, 'an object of strings', value)
  for (const [key, text] of Object.entries(value)) {
    if (!name.test(key)) throw invalidOption(option, `an object whose names match ${name.source}`, key)
    // The value itself stays out of the message: it may be a secret.
    if (typeof text !== 'string' || text.includes('\0'))
      throw invalidOption(`${option}.${key}`, 'a string without NUL', `a ${typeof text}`)
  }
  return Object.freeze({ ...(value as Record<string, string>) })
}

function memoryOf(option: string, value: unknown): number {
  const bytes = toBytes(option, value)
  if (bytes < SMALLEST_MEMORY)
    throw invalidOption(option, "at least '6m', the least an engine accepts", value)
  return bytes
}

function cpusOf(option: string, value: unknown): number {
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0.01)
    throw invalidOption(option, 'a number of CPUs of at least 0.01', value)
  return value
}

export function positiveInteger(option: string, value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 1)
    throw invalidOption(option, 'a whole number of at least 1', value)
  return value
}

export function booleanOf(option: string, value: unknown): boolean {
  if (typeof value !== 'boolean') throw invalidOption(option, 'true or false', value)
  return value
}

function networkOf(option: string, value: unknown): BoxTemplate['network'] {
  if (value === 'none' || value === 'internet') return value
  if (value === null || typeof value !== 'object')
    throw invalidOption(option, "'none', 'internet' or { name }", value)
  assertKnownKeys(option, value, ['name'])
  return { name: nonEmpty(`${option}.name`, (value as { name?: unknown }).name) }
}

function transportOf(option: string, value: unknown): BoxTemplate['transport'] {
  if (value === 'auto' || value === 'socket') return value
  if (value === null || typeof value !== 'object')
    throw invalidOption(option, "'auto', 'socket' or { port }", value)
  assertKnownKeys(option, value, ['port'])
  return { port: portOf(`${option}.port`, (value as { port?: unknown }).port) }
}

function portOf(option: string, value: unknown): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > 65_535)
    throw invalidOption(option, 'a port from 1 to 65535', value)
  return value
}

function readinessOf(option: string, value: unknown): Readiness {
  const expected = "'agent', 'started', 'healthcheck', { http }, { port }, { log } or a function"
  if (value === 'agent' || value === 'started' || value === 'healthcheck') return value
  if (typeof value === 'function') return value as Readiness
  if (value === null || typeof value !== 'object') throw invalidOption(option, expected, value)
  const probe = value as { http?: unknown; port?: unknown; log?: unknown }
  const keys = Object.keys(probe)
  if (keys.length !== 1) throw invalidOption(option, expected, `an object with ${keys.length} keys`)
  if ('http' in probe) {
    const path = nonEmpty(`${option}.http`, probe.http)
    if (!/^\/(?!\/)/.test(path))
      throw invalidOption(`${option}.http`, "a path that begins with exactly one '/'", path)
    return { http: path }
  }
  if ('port' in probe) return { port: portOf(`${option}.port`, probe.port) }
  if ('log' in probe && probe.log instanceof RegExp) return { log: probe.log }
  if ('log' in probe) return { log: nonEmpty(`${option}.log`, probe.log) }
  throw invalidOption(option, expected, value)
}

function userOf(option: string, value: unknown): BoxTemplate['user'] {
  if (value === 'per-tenant' || value === 'gateway') return value
  const match = typeof value === 'string' ? USER.exec(value) : null
  if (!match) throw invalidOption(option, "'per-tenant', 'gateway' or '<uid>:<gid>'", value)
  return { uid: Number(match[1]), gid: Number(match[2]) }
}

function mountsOf(option: string, value: unknown): BoxTemplate['mounts'] {
  if (!Array.isArray(value)) throw invalidOption(option, 'an array', value)
  return Object.freeze(
    value.map((mount: unknown, index) => {
      const at = `${option}[${index}]`
      assertKnownKeys(at, mount, ['host', 'box', 'readOnly'])
      const given = mount as { host?: unknown; box?: unknown; readOnly?: unknown }
      return {
        host: absolute(`${at}.host`, given.host),
        box: absolute(`${at}.box`, given.box),
        readOnly: booleanOf(`${at}.readOnly`, given.readOnly ?? true),
      }
    }),
  )
}

function absolute(option: string, value: unknown): string {
  const path = nonEmpty(option, value)
  if (!path.startsWith('/') || path.split('/').includes('..'))
    throw invalidOption(option, "an absolute path without '..'", value)
  return path
}
