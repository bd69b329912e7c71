import { invalidOption } from '../errors.js'
import type { Json } from '../json.js'
import type { Problem } from '../problem.js'
import type { Due, Misfire } from '../schedule.js'
import { type Clock, systemClock } from './clock.js'

export interface SchedulerOptions<P extends Json = Json> {
  /** A folder for the scheduler's own state, of which no tenant may reach anything. One per scheduler. */
  stateDir: string
  /** All tenants there are, with their workspaces. Asked at the start, and when `refresh` names an unknown one. */
  tenants: () => Iterable<SchedulerTenant> | AsyncIterable<SchedulerTenant>
  /**
   * Called at least once for every due, one after the other per tenant, and again (later and later, at most 5 minutes
   * apart) until it resolves. After a crash it is called again for what it had not resolved for: `due.id` is the same
   * then, so a mailbox that knows its ids makes exactly one message of it.
   */
  onDue: (due: Due<P>) => Promise<unknown>
  /** For schedules that do not say. @default 'latest' */
  misfire?: Misfire
  /** The most dues of one schedule that `all` makes up for; the rest is counted in `missed` of the first. @default 10 */
  catchUpLimit?: number
  /** Schedules of one tenant beyond this number are reported and left out. @default 1000 */
  maxPerTenant?: number
  /** Calls of `onDue` for one tenant in a minute; what is due beyond that waits for the next, and is reported. @default 20 */
  maxPerMinute?: number
  /** Calls of `onDue` at a time, over all tenants. @default 100 */
  concurrency?: number
  /** Told of what could not be used or handed over. `tenant` is empty for the scheduler's own state. @default nobody */
  onProblem?: (problem: Problem & { tenant: string }) => void
  /** @default the system's */
  clock?: Clock
}

export interface SchedulerTenant {
  tenant: string
  /** The workspace. */
  dir: string
}

export type ResolvedSchedulerOptions<P extends Json> = Required<SchedulerOptions<P>>

export function resolveOptions<P extends Json>(options: SchedulerOptions<P>): ResolvedSchedulerOptions<P> {
  const misfire = options.misfire ?? 'latest'
  if (!['latest', 'all', 'skip'].includes(misfire))
    throw invalidOption('misfire', "'latest', 'all' or 'skip'", misfire)
  return {
    stateDir: options.stateDir,
    tenants: options.tenants,
    onDue: options.onDue,
    misfire,
    catchUpLimit: positive('catchUpLimit', options.catchUpLimit ?? 10),
    maxPerTenant: positive('maxPerTenant', options.maxPerTenant ?? 1000),
    maxPerMinute: positive('maxPerMinute', options.maxPerMinute ?? 20),
    concurrency: positive('concurrency', options.concurrency ?? 100),
    onProblem: options.onProblem ?? (() => {}),
    clock: options.clock ?? systemClock,
  }
}

function positive(option: string, value: number): number {
  if (Number.isInteger(value) && value >= 1) return value
  throw invalidOption(option, 'a whole number of 1 or more', value)
}
