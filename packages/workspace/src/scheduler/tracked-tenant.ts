import type { Due } from '../schedule.js'
import type { Account } from './ledger.js'
import { type Policy, settle } from './misfire.js'
import type { SchedulesWatch } from './schedules-watch.js'
import type { ReadSchedule } from './tenant-schedules.js'

interface Planned extends ReadSchedule {
  /** When it is due next; undefined when never again, or not while it is disabled. */
  next: number | undefined
}

/** One tenant, as the scheduler holds it in memory. */
export class TrackedTenant {
  readonly tenant: string
  readonly directory: string
  /** `again`: what has changed meanwhile is read when the present reading ends. */
  reading: 'no' | 'now' | 'again' = 'no'
  served = false
  failures = 0
  /** Not before this time, after a failure. */
  notBefore = 0
  readonly watch: SchedulesWatch
  #plan = new Map<string, Planned>()

  constructor(tenant: string, directory: string, watch: SchedulesWatch) {
    this.tenant = tenant
    this.directory = directory
    this.watch = watch
  }

  has(schedule: string): boolean {
    return this.#plan.has(schedule)
  }

  /**
   * Takes over what the file says now.
   *
   * @returns ids of schedules that were enabled just now: what they were due for while disabled is not made up for
   */
  replace(schedules: readonly ReadSchedule[]): string[] {
    const before = this.#plan
    this.#plan = new Map(schedules.map((read) => [read.schedule.id, { ...read, next: undefined }]))
    return schedules
      .filter(({ schedule }) => schedule.enabled && before.get(schedule.id)?.schedule.enabled === false)
      .map(({ schedule }) => schedule.id)
  }

  /** Works out anew when schedules are due next: all of them, or some. */
  plan(marks: Account['marks'], ids: Iterable<string> = this.#plan.keys()): void {
    for (const id of ids) {
      const planned = this.#plan.get(id)
      if (planned)
        planned.next = planned.schedule.enabled
          ? planned.recurrence.next(marks.get(id) ?? Number.NEGATIVE_INFINITY)
          : undefined
    }
  }

  /** When anything is due next. */
  nextAt(): number | undefined {
    let soonest: number | undefined
    for (const { next } of this.#plan.values())
      if (next !== undefined && (soonest === undefined || next < soonest)) soonest = next
    return soonest
  }

  /** All that is due by `now`, oldest first, and how far each schedule is settled by that. */
  collect(now: number, marks: Account['marks'], policy: Policy): { dues: Due[]; marks: [string, number][] } {
    const dues: Due[] = []
    const settled: [string, number][] = []
    for (const [id, { schedule, recurrence, next }] of this.#plan) {
      if (next === undefined || next > now) continue
      const found = settle(
        this.tenant,
        schedule,
        recurrence,
        marks.get(id) ?? Number.NEGATIVE_INFINITY,
        now,
        policy,
      )
      if (!found) continue
      dues.push(...found.dues)
      settled.push([id, found.mark])
    }
    return { dues: dues.sort((one, other) => one.dueAt.localeCompare(other.dueAt)), marks: settled }
  }
}
