import type { Recurrence } from '../recurrence.js'
import type { Due, Misfire, Schedule } from '../schedule.js'

/** A due handed over later than this has been missed. */
const GRACE_MS = 60_000

export interface Policy {
  readonly misfire: Misfire
  /** The most dues of one schedule that `all` makes up for. */
  readonly catchUpLimit: number
}

export interface Settled {
  readonly dues: readonly Due[]
  /** The last due that this settles. */
  readonly mark: number
  /** How many dues were counted for it. */
  readonly counted: number
}

/**
 * What is to be handed over of all that a schedule was due for after `after` and up to `now`, oldest first; and up to
 * where that is settled. No more than `limit` dues are counted. Undefined when it was not due.
 */
export function settle(
  tenant: string,
  schedule: Schedule,
  recurrence: Recurrence,
  after: number,
  now: number,
  policy: Policy,
  limit: number,
): Settled | undefined {
  const misfire = schedule.misfire ?? policy.misfire
  const keep = misfire === 'all' ? policy.catchUpLimit : 1
  const { count, last } = recurrence.between(after, now, keep, Math.max(limit, keep))
  const mark = last.at(-1)
  if (mark === undefined) return undefined
  const kept = misfire === 'skip' ? last.filter((at) => now - at <= GRACE_MS) : last
  const dues = kept.map((at, index) => {
    const dueAt = new Date(at).toISOString()
    const missed = index === 0 && misfire !== 'skip' ? count - kept.length : 0
    return { id: `${schedule.id}@${dueAt}`, tenant, dueAt, missed, schedule }
  })
  return { dues, mark, counted: count }
}
