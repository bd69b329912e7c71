import type { AnyWarningCode } from './warnings.js'

/**
 * Where the pool can take a box from each state. This one table drives the code, the types and the diagram in
 * `docs/architecture.md`. `running` means started and ready.
 */
export const TRANSITIONS = {
  absent: ['creating', 'stopped'],
  creating: ['stopped', 'absent'],
  stopped: ['starting', 'removing'],
  starting: ['running', 'stopping', 'stopped'],
  running: ['pausing', 'stopping', 'stopped'],
  pausing: ['paused', 'running', 'stopped'],
  paused: ['resuming', 'stopping', 'stopped'],
  resuming: ['running', 'paused', 'stopped'],
  stopping: ['stopped', 'running', 'paused'],
  removing: ['absent', 'stopped'],
} as const

export type BoxState = keyof typeof TRANSITIONS

/** States in which nothing is under way. Only between these can the world outside move a box. */
export const SETTLED = ['absent', 'stopped', 'running', 'paused'] as const

export type SettledState = (typeof SETTLED)[number]

/** Why a box left its life. */
export type DownReason =
  | 'idle'
  | 'evicted'
  | 'requested'
  | 'exited'
  | 'oom'
  | 'unhealthy'
  | 'drift'
  | 'engine'
  | 'quota'
  | 'shutdown'

/**
 * Why a box changed its state. `demand`: somebody needs it. `adopted`: found at start. `outside`: somebody else did it
 * at the engine. The others say why it was put down.
 */
export type TransitionReason = DownReason | 'demand' | 'adopted' | 'outside'

export function isSettled(state: BoxState): state is SettledState {
  return (SETTLED as readonly BoxState[]).includes(state)
}

/** Whether a box in this state holds memory at the engine, and so counts against `maxRunning`. */
export function isLive(state: BoxState): boolean {
  return state !== 'absent' && state !== 'creating' && state !== 'stopped' && state !== 'removing'
}

/** Whether `from -> to` may happen: by the table, or, found to have happened outside, between two settled states. */
export function isLegal(from: BoxState, to: BoxState, reason: TransitionReason): boolean {
  if (reason === 'adopted' || reason === 'outside') return isSettled(from) && isSettled(to) && from !== to
  return (TRANSITIONS[from] as readonly BoxState[]).includes(to)
}

/** How a life ended. */
export interface Exit {
  /** The process's exit code, when the engine knows it. */
  code?: number
  /** Whether the kernel killed it for want of memory. */
  oom: boolean
  /** The last log lines (at most 20, each at most 1 KiB, control characters escaped); not enumerable on errors. */
  lastLogs: readonly string[]
}

interface OfTenant {
  tenant: string
  /** Milliseconds since the epoch. */
  at: number
  /** Which life of the box: grows at every start. */
  generation: number
}

/** What `TenantPool.on` listens to. `at`: milliseconds since the epoch; `ms` and `retryIn`: milliseconds. */
export interface PoolEvents {
  /** One for every change of state, in order per tenant. `ms`: time spent in the state left. */
  transition: OfTenant & { from: BoxState; to: BoxState; reason: TransitionReason; ms: number; exit?: Exit }
  /** A wake has ended well. `phases` in milliseconds, together at most `ms`; `queue` is for room and for a turn to start. */
  ready: OfTenant & {
    from: 'absent' | 'stopped' | 'paused'
    ms: number
    phases: { queue: number; pull: number; create: number; start: number; probe: number }
  }
  /** A lease has ended after `ms` milliseconds. */
  lease: OfTenant & { ms: number; outcome: 'released' | 'aborted' | 'expired' | 'died' }
  /** A wake waits for room, or no longer does. `waiting`: how many do now; `ms`: for how long this one has. */
  queue: { tenant: string; at: number; state: 'entered' | 'left' | 'timeout'; waiting: number; ms: number }
  /** Progress of an image pull, in bytes: `total` grows as layers become known. */
  pull: { image: string; at: number; done: number; total: number; finished: boolean }
  /** The engine was lost or is back, at this attempt to connect. Lost: why, and when the next attempt is. */
  engine: { at: number; state: 'up' | 'down'; attempt: number; retryIn?: number; cause?: unknown }
  /** Who owns `dataDir`: another process, for which this one waits, or this one. `lost` is left to what `stats` says. */
  lock: { at: number; state: 'held' | 'waiting' | 'lost' }
  /** A tenant's files are more than `limits.disk` allows, or no longer. Bytes; told where `disk` is `'watch'`. */
  quota: { tenant: string; at: number; bytes: number; limit: number; over: boolean }
  /** `docs/errors-and-warnings.md` has them all. Never unheard: without a listener it becomes `process.emitWarning`. */
  warning: { code: AnyWarningCode; message: string; at: number; tenant?: string; cause?: unknown }
}
