import { CronPattern } from './cron.js'
import type { Schedule } from './schedule.js'
import { parseDuration, parseTime } from './time.js'
import { Zone } from './zone.js'

const HOUR = 3_600_000
/** As often as a cron pattern can be due. */
const SHORTEST_STEP = 60_000

/** When a schedule is due, in milliseconds since the epoch. */
export interface Recurrence {
  /** Nothing is due at it or before, unless it was handed over already. */
  readonly start: number
  /** The first due after an instant. */
  next(after: number): number | undefined
  /** How many dues lie after `after` and not after `until`, up to a limit, and the last `keep` of them. */
  between(after: number, until: number, keep: number, limit: number): Dues
}

interface Dues {
  readonly count: number
  readonly last: readonly number[]
}

/** Works out when a schedule is due; or says what is wrong with it. */
export function recurrenceOf(schedule: Schedule, fileZone: string | undefined): Recurrence | string {
  const zoneName = schedule.timezone ?? fileZone
  const zone = zoneName === undefined ? undefined : Zone.named(zoneName)
  if (zoneName !== undefined && !zone) return 'timezone is not known: use a name such as Europe/Berlin'
  const created = parseTime(schedule.createdAt, undefined)
  if (typeof created === 'string') return `createdAt ${created}`
  const until = schedule.until === undefined ? Number.POSITIVE_INFINITY : parseTime(schedule.until, zone)
  if (typeof until === 'string') return `until ${until}`

  if (schedule.at !== undefined) {
    const at = parseTime(schedule.at, zone)
    return typeof at === 'string' ? `at ${at}` : once(at, until)
  }
  if (schedule.every !== undefined) {
    const step = parseDuration(schedule.every)
    if (typeof step === 'string') return `every ${step}`
    if (step < SHORTEST_STEP) return 'every must be at least a minute, such as 90s or 15m'
    const from = schedule.from === undefined ? created : parseTime(schedule.from, zone)
    return typeof from === 'string' ? `from ${from}` : regular(created, until, from, step)
  }
  const pattern = CronPattern.parse(schedule.cron)
  return typeof pattern === 'string' ? `cron ${pattern}` : byCron(created, until, pattern, zone ?? Zone.utc)
}

function once(at: number, until: number): Recurrence {
  const next = (after: number) => (at > after && at <= until ? at : undefined)
  return {
    start: Number.NEGATIVE_INFINITY,
    next,
    between: (after, end) => {
      const due = next(after)
      return due !== undefined && due <= end ? { count: 1, last: [due] } : { count: 0, last: [] }
    },
  }
}

function regular(start: number, until: number, from: number, step: number): Recurrence {
  /** How many steps from `from` the first due after an instant is. */
  const stepsTo = (after: number) => Math.max(0, Math.floor((Math.max(after, start) - from) / step) + 1)
  return {
    start,
    next(after) {
      const due = from + stepsTo(after) * step
      return due <= until ? due : undefined
    },
    between(after, end, keep, limit) {
      const first = stepsTo(after)
      const last = Math.floor((Math.min(end, until) - from) / step)
      const count = Math.max(0, last - first + 1)
      const kept = Array.from({ length: Math.min(count, keep) }, (_, index) => from + (last - index) * step)
      return { count: Math.min(count, limit), last: kept.reverse() }
    },
  }
}

function byCron(start: number, until: number, pattern: CronPattern, zone: Zone): Recurrence {
  const next = (after: number) => {
    const due = pattern.next(Math.max(after, start), zone)
    return due !== undefined && due <= until ? due : undefined
  }
  const walk = (after: number, end: number, limit: number) => {
    const dues: number[] = []
    for (let due = next(after); due !== undefined && due <= end && dues.length < limit; due = next(due))
      dues.push(due)
    return dues
  }
  return {
    start,
    next,
    between(after, end, keep, limit) {
      const dues = walk(after, end, limit)
      if (dues.length < limit) return { count: dues.length, last: dues.slice(-keep) }
      // Too many to walk through all of them: look back from the end, further and further.
      for (let back = HOUR; ; back *= 4) {
        const last = walk(Math.max(after, end - back), end, Number.POSITIVE_INFINITY)
        if (last.length >= keep || end - back <= after) return { count: limit, last: last.slice(-keep) }
      }
    },
  }
}
