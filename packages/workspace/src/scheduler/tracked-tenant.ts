import type { Due } from '../schedule.js'
import type { ValidSchedule } from '../schedules.js'
import { forEachInTurns } from '../turns.js'
import type { Account } from './ledger.js'
import { type Policy, settle } from './misfire.js'
import { Pace } from './pace.js'
import type { SchedulesWatch } from './schedules-watch.js'

/** Missed dues are counted one by one; beyond so many, of one tenant at one time, that there were more is enough. */
const MAX_COUNTED = 2000

interface Planned extends ValidSchedule {
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
  /** Not before this time, after a failure or too many dues in a minute. */
  notBefore = 0
  readonly pace = new Pace()
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
  replace(schedules: readonly ValidSchedule[]): string[] {
    const before = this.#plan
    this.#plan = new Map(schedules.map((read) => [read.schedule.id, { ...read, next: undefined }]))
    return schedules
      .filter(({ schedule }) => schedule.enabled && before.get(schedule.id)?.schedule.enabled === false)
      .map(({ schedule }) => schedule.id)
  }

  /** Works out anew when each schedule is due next. */
  async plan(marks: Account['marks']): Promise<void> {
    await forEachInTurns(this.#plan, ([id, planned]) => planOne(planned, marks.get(id)))
  }

  /** As `plan`, for some that were settled just now. */
  planSome(ids: readonly string[], marks: Account['marks']): void {
    for (const id of ids) {
      const planned = this.#plan.get(id)
      if (planned) planOne(planned, marks.get(id))
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
  async collect(
    now: number,
    marks: Account['marks'],
    policy: Policy,
  ): Promise<{ dues: Due[]; marks: [string, number][] }> {
    const dues: Due[] = []
    const settled: [string, number][] = []
    let left = MAX_COUNTED
    await forEachInTurns(this.#plan, ([id, { schedule, recurrence, next }]) => {
      if (next === undefined || next > now) return
      const after = marks.get(id) ?? Number.NEGATIVE_INFINITY
      const found = settle(this.tenant, schedule, recurrence, after, now, policy, left)
      if (!found) return
      left = Math.max(0, left - found.counted)
      dues.push(...found.dues)
      settled.push([id, found.mark])
    })
    return { dues: dues.sort((one, other) => one.dueAt.localeCompare(other.dueAt)), marks: settled }
  }
}

function planOne(planned: Planned, mark: number | undefined): void {
  const { schedule, recurrence } = planned
  planned.next = schedule.enabled ? recurrence.next(mark ?? Number.NEGATIVE_INFINITY) : undefined
}
