import type { Measurement } from './measure.js'

/** What is known of a tenant's use: nothing yet, or how it stood to its limit when it was last measured. */
export type Verdict = 'unknown' | 'within' | 'over'

/**
 * What a measurement means. More than the limit is over, however much was missed. What its owner has put out of sight
 * (by sheer number, by mode, by moving it about) counts as over too, or hiding would pay; what this machine had no time
 * for proves nothing, and changes nothing.
 */
export function judge({ bytes, missed }: Measurement, limit: number, before: Verdict): Verdict {
  if (bytes > limit) return 'over'
  if (missed === 'time') return before === 'unknown' ? 'within' : before
  return missed ? 'over' : 'within'
}

/** When a tenant was measured, and what has happened since. Times are monotonic milliseconds. */
export interface Measured {
  readonly measuredAt: number
  /** How long that took. */
  readonly tookMs: number
  /** Whether it was active, or ended its life, since. */
  readonly used: boolean
}

/** A tenant that runs is measured at least so often. */
const EVERY_MS = 5 * 60_000
/** And never more often than this, or than takes this part of the time. */
const REST_MS = 15_000
const REST_FACTOR = 20

/** Whether it is time to measure again; `low`: the disk is nearly full, so whoever may have grown is looked at. */
export function isDue({ measuredAt, tookMs, used }: Measured, now: number, low: boolean): boolean {
  const since = now - measuredAt
  if (since < Math.max(REST_MS, REST_FACTOR * tookMs)) return false
  return used || low || since >= EVERY_MS
}

/** The disk is nearly full with less than this left, or less than this part of it. */
const FLOOR_BYTES = 1024 ** 3
const FLOOR_PART = 0.05

/** Whether there is hardly any room left on a disk; once there was, not before there is twice as much again. */
export function isNearlyFull(free: number, total: number, before: boolean): boolean {
  const floor = Math.min(FLOOR_BYTES, total * FLOOR_PART)
  return free < (before ? 2 * floor : floor)
}
