import { resolve } from 'node:path'
import { type BoxSpec, type BoxTemplate, booleanOf, positiveInteger, resolveBoxSpec } from './box-spec.js'
import { type Clock, systemClock } from './clock.js'
import type { Driver } from './driver.js'
import { isPoolName } from './identity.js'
import type { TenantBox } from './tenant-box.js'
import { assertKnownKeys, type Duration, invalidOption, oneOf, toMilliseconds } from './units.js'
import type { CallOptions } from './wait.js'

/** How `pause`, `stop`, `remove` and `refresh` treat leases. `timeout` is '60s' by default, but none for `refresh`. */
export interface SleepOptions extends CallOptions {
  /**
   * `wait`: until the leases end; later callers queue behind, and at the timeout the call fails with `BUSY`.
   * `abort`: their signals are aborted. @default 'wait'
   */
  leases?: 'wait' | 'abort' | undefined
}

/** When an idle box goes to sleep. Tiers must grow: pause before stop before remove. */
export interface IdleOptions {
  /** Frozen in memory; wakes in about 10 ms. @default false */
  pauseAfter?: Duration | false | undefined
  /** Processes ended; wakes in about 0.2 s. @default '30m' */
  stopAfter?: Duration | false | undefined
  /** Box removed, the tenant's folder kept. @default false */
  removeAfter?: Duration | false | undefined
  /**
   * Asked right before a box is put to sleep, or stopped to make room for another's, when its new callers wait for the
   * answer; `true` keeps it awake for another round. An error means `false`, as does no answer within 5 s.
   */
  veto?: ((box: TenantBox, signal: AbortSignal) => boolean | Promise<boolean>) | undefined
}

/** What is different for one tenant: laid over the pool's `box` and `idle`; env, secrets and limits name by name. */
export interface TenantOverrides {
  box?: { [K in keyof BoxSpec]?: BoxSpec[K] | undefined } | undefined
  idle?: IdleOptions | undefined
}

type PerTenant = (tenant: string, signal: AbortSignal) => TenantOverrides | Promise<TenantOverrides>

export interface PoolOptions {
  /** Becomes part of every box's name: `^[a-z][a-z0-9]{0,19}$`. */
  name: string
  /** Where boxes run: `docker()`, `processDriver()`, `memoryDriver()`. */
  driver: Driver
  /** Folder of all tenants' files. One pool at a time owns it. */
  dataDir: string
  /** What every tenant's box is made of. */
  box: BoxSpec
  /**
   * Called at each wake that starts a box, and once for each tenant whose box an earlier process has started; merged over
   * `box` and `idle`: plans, per-tenant env, secrets.
   */
  perTenant?: PerTenant | undefined
  idle?: IdleOptions | undefined
  capacity?:
    | {
        /** Boxes that hold memory, paused ones too. @default unlimited */
        maxRunning?: number | undefined
        /** Boxes that are made or started at the same time; the others stand in line. @default 4 */
        maxStarting?: number | undefined
        /** Wakes that may wait for room; one more fails with `CAPACITY`. @default unlimited */
        maxQueued?: number | undefined
        /** Longest wait for room (`QUEUE_TIMEOUT`). @default '60s' */
        queueTimeout?: Duration | undefined
        /** A box younger than this is never put to sleep to make room. @default '10s' */
        minUptime?: Duration | undefined
      }
    | undefined
  timeouts?:
    | {
        /** From an engine's start to ready. @default '60s' */
        wake?: Duration | undefined
        /** Connecting to the agent. @default '5s' */
        connect?: Duration | undefined
        /**
         * From the request to the agent's first byte. An agent that misses its deadlines (this, `connect`, `silence`)
         * three times in a row is unhealthy, and its box is stopped. @default '10m'
         */
        firstByte?: Duration | false | undefined
        /** Between two pieces of an answer. @default '10m' */
        silence?: Duration | false | undefined
        /** The longest a lease lives (`LEASE_EXPIRED`). @default '15m' */
        lease?: Duration | false | undefined
      }
    | undefined
  /** A box made from an older spec: rebuilt when it next wakes from stopped, or kept. @default 'next-wake' */
  onDrift?: 'next-wake' | 'keep' | undefined
  /** When another process owns `dataDir`: `POOL_LOCKED`, or wait until it lets go. @default 'fail' */
  lock?: 'fail' | 'wait' | undefined
  /**
   * How `box.limits.disk` is kept, and who is without that limit is left alone by both. `watch`: what grows too big is
   * stopped once nobody leases it, and wakes again when it has shrunk (`OVER_QUOTA`). `image`: a filesystem of that size
   * for each tenant, so that the kernel itself says ENOSPC; needs Linux and root. See docs/disk.md. @default 'watch'
   */
  disk?: 'watch' | 'image' | undefined
  /** Turn every start-up warning about a missing protection into an error. @default false */
  strict?: boolean | undefined
  /** What `close` does with the boxes. @default 'keep' */
  onClose?: 'keep' | 'stop' | 'remove' | undefined
  /** For tests. @default the system's */
  clock?: Clock | undefined
}

export interface ResolvedIdle {
  /** Milliseconds since the last activity; undefined: never. */
  readonly pauseAfter: number | undefined
  readonly stopAfter: number | undefined
  readonly removeAfter: number | undefined
  readonly veto: IdleOptions['veto']
}

export interface ResolvedCapacity {
  readonly maxRunning: number
  readonly maxStarting: number
  readonly maxQueued: number
  readonly queueTimeout: number
  readonly minUptime: number
}

interface ResolvedTimeouts {
  readonly wake: number
  readonly connect: number
  readonly firstByte: number | false
  readonly silence: number | false
  readonly lease: number | false
}

/** The part of the options that `pool.update` can change, resolved. */
export interface Settings {
  /** As given: a tenant's overrides are merged over it before it is resolved. */
  readonly boxSpec: BoxSpec
  readonly box: BoxTemplate
  readonly perTenant: PerTenant | undefined
  readonly idleOptions: IdleOptions
  readonly idle: ResolvedIdle
  readonly capacity: ResolvedCapacity
  readonly timeouts: ResolvedTimeouts
}

export interface ResolvedOptions {
  readonly name: string
  readonly driver: Driver
  readonly dataDir: string
  readonly onDrift: 'next-wake' | 'keep'
  readonly lock: 'fail' | 'wait'
  readonly disk: 'watch' | 'image'
  readonly strict: boolean
  readonly onClose: 'keep' | 'stop' | 'remove'
  readonly clock: Clock
  readonly settings: Settings
}

const SETTINGS_KEYS = ['box', 'perTenant', 'idle', 'capacity', 'timeouts'] as const
export type SettingsOptions = Pick<PoolOptions, (typeof SETTINGS_KEYS)[number]>

const KEYS = [
  'name',
  'driver',
  'dataDir',
  'onDrift',
  'lock',
  'disk',
  'strict',
  'onClose',
  'clock',
  ...SETTINGS_KEYS,
] as const

/** @throws TenantBoxError `INVALID_OPTION`, naming the option, what it must be and what it got. */
export function resolveOptions(options: PoolOptions): ResolvedOptions {
  assertKnownKeys('', options, KEYS)
  if (typeof options.name !== 'string' || !isPoolName(options.name))
    throw invalidOption(
      'name',
      'a lower-case letter followed by up to 19 lower-case letters or digits',
      options.name,
    )
  if (
    options.driver === null ||
    typeof options.driver !== 'object' ||
    typeof options.driver.open !== 'function'
  )
    throw invalidOption('driver', 'a driver such as docker() of @tenantbox/core/docker', options.driver)
  if (typeof options.dataDir !== 'string' || options.dataDir === '' || options.dataDir.includes('\0'))
    throw invalidOption('dataDir', 'the path of a folder', options.dataDir)
  return Object.freeze({
    name: options.name,
    driver: options.driver,
    dataDir: resolve(options.dataDir),
    onDrift: oneOf('onDrift', options.onDrift ?? 'next-wake', ['next-wake', 'keep']),
    lock: oneOf('lock', options.lock ?? 'fail', ['fail', 'wait']),
    disk: oneOf('disk', options.disk ?? 'watch', ['watch', 'image']),
    strict: booleanOf('strict', options.strict ?? false),
    onClose: oneOf('onClose', options.onClose ?? 'keep', ['keep', 'stop', 'remove']),
    clock: options.clock ?? systemClock,
    settings: resolveSettings(options),
  })
}

/** @throws TenantBoxError `INVALID_OPTION` */
export function resolveSettings(options: SettingsOptions): Settings {
  const { perTenant } = options
  if (perTenant !== undefined && typeof perTenant !== 'function')
    throw invalidOption('perTenant', 'a function', perTenant)
  return Object.freeze({
    boxSpec: options.box,
    box: resolveBoxSpec('box', options.box),
    perTenant,
    idleOptions: options.idle ?? {},
    idle: resolveIdle('idle', options.idle ?? {}),
    capacity: resolveCapacity(options.capacity ?? {}),
    timeouts: resolveTimeouts(options.timeouts ?? {}),
  })
}

/** `change` over `current`, resolved anew. @throws TenantBoxError `INVALID_OPTION` */
export function changeSettings(current: SettingsOptions, change: Partial<SettingsOptions>): SettingsOptions {
  assertKnownKeys('', change, SETTINGS_KEYS)
  return {
    box: change.box ?? current.box,
    perTenant: 'perTenant' in change ? change.perTenant : current.perTenant,
    idle: 'idle' in change ? change.idle : current.idle,
    capacity: 'capacity' in change ? change.capacity : current.capacity,
    timeouts: 'timeouts' in change ? change.timeouts : current.timeouts,
  }
}

/** @throws TenantBoxError `INVALID_OPTION` */
export function resolveIdle(option: string, idle: IdleOptions): ResolvedIdle {
  assertKnownKeys(option, idle, ['pauseAfter', 'stopAfter', 'removeAfter', 'veto'])
  const tier = (
    name: 'pauseAfter' | 'stopAfter' | 'removeAfter',
    fallback: Duration | false,
  ): number | undefined => {
    const value = idle[name] ?? fallback
    return value === false ? undefined : toMilliseconds(`${option}.${name}`, value)
  }
  if (idle.veto !== undefined && typeof idle.veto !== 'function')
    throw invalidOption(`${option}.veto`, 'a function', idle.veto)
  const resolved = {
    pauseAfter: tier('pauseAfter', false),
    stopAfter: tier('stopAfter', '30m'),
    removeAfter: tier('removeAfter', false),
    veto: idle.veto,
  }
  assertOrder(option, 'pauseAfter', resolved.pauseAfter, 'stopAfter', resolved.stopAfter)
  assertOrder(option, 'stopAfter', resolved.stopAfter, 'removeAfter', resolved.removeAfter)
  assertOrder(option, 'pauseAfter', resolved.pauseAfter, 'removeAfter', resolved.removeAfter)
  return Object.freeze(resolved)
}

function assertOrder(
  option: string,
  earlier: string,
  earlierMs: number | undefined,
  later: string,
  laterMs: number | undefined,
): void {
  if (earlierMs !== undefined && laterMs !== undefined && laterMs <= earlierMs)
    throw invalidOption(
      `${option}.${later}`,
      `longer than ${option}.${earlier} (${earlierMs} ms), or false`,
      laterMs,
    )
}

function resolveCapacity(capacity: NonNullable<PoolOptions['capacity']>): ResolvedCapacity {
  assertKnownKeys('capacity', capacity, [
    'maxRunning',
    'maxStarting',
    'maxQueued',
    'queueTimeout',
    'minUptime',
  ])
  const { maxRunning, maxQueued } = capacity
  return Object.freeze({
    maxRunning:
      maxRunning === undefined
        ? Number.POSITIVE_INFINITY
        : positiveInteger('capacity.maxRunning', maxRunning),
    maxStarting: positiveInteger('capacity.maxStarting', capacity.maxStarting ?? 4),
    maxQueued:
      maxQueued === undefined
        ? Number.POSITIVE_INFINITY
        : nonNegativeInteger('capacity.maxQueued', maxQueued),
    queueTimeout: toMilliseconds('capacity.queueTimeout', capacity.queueTimeout ?? '60s'),
    minUptime: toMilliseconds('capacity.minUptime', capacity.minUptime ?? '10s'),
  })
}

function resolveTimeouts(timeouts: NonNullable<PoolOptions['timeouts']>): ResolvedTimeouts {
  assertKnownKeys('timeouts', timeouts, ['wake', 'connect', 'firstByte', 'silence', 'lease'])
  const orOff = (name: 'firstByte' | 'silence' | 'lease', fallback: Duration): number | false => {
    const value = timeouts[name] ?? fallback
    return value === false ? false : positiveDuration(`timeouts.${name}`, value)
  }
  return Object.freeze({
    wake: positiveDuration('timeouts.wake', timeouts.wake ?? '60s'),
    connect: positiveDuration('timeouts.connect', timeouts.connect ?? '5s'),
    firstByte: orOff('firstByte', '10m'),
    silence: orOff('silence', '10m'),
    lease: orOff('lease', '15m'),
  })
}

function positiveDuration(option: string, value: unknown): number {
  const milliseconds = toMilliseconds(option, value)
  if (milliseconds === 0) throw invalidOption(option, 'longer than 0', value)
  return milliseconds
}

function nonNegativeInteger(option: string, value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0)
    throw invalidOption(option, 'a whole number of at least 0', value)
  return value
}
