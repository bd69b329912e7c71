import type { Json } from './json.js'

/**
 * When a schedule is due.
 *
 * - `at`: once. ISO 8601; without an offset it is local time in the schedule's, or else the file's, `timezone`.
 * - `every`: again and again after a number and a unit (`90s`, `15m`, `2h`, `1d`, `1w`), at least a minute, counted from
 *   `from` or else from `createdAt`. Always the same number of seconds: a day has 24 hours even when clocks change.
 * - `cron`: five fields, or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`, in local time of `timezone` (UTC
 *   where there is none), up to the year 2099. `L` is the last day of the month, `5L` its last Friday, `1#2` its second
 *   Monday.
 */
export type When =
  | { at: string; every?: never; cron?: never; from?: never }
  | { every: string; from?: string; at?: never; cron?: never }
  | { cron: string; at?: never; every?: never; from?: never }

/**
 * What becomes of dues that could not be handed over in time: only the `latest`; `all`, up to the scheduler's limit; or
 * none of them (`skip`).
 */
export type Misfire = 'latest' | 'all' | 'skip'

// Type aliases, not interfaces: only those are known to be JSON, so that a due can be the body of a message.
type ScheduleBase<P extends Json> = {
  /** Unique in its file. */
  id: string
  text: string
  enabled: boolean
  /** ISO 8601 with an offset. Nothing is due before it, but for an `at`. */
  createdAt: string
  /** IANA name, such as `Europe/Berlin`. */
  timezone?: string
  thread?: string
  createdBy?: string
  /** The last time at which it may be due; as `at`. */
  until?: string
  misfire?: Misfire
  /** The only place for what an app adds. */
  payload?: P
}

export type Schedule<P extends Json = Json> = ScheduleBase<P> & When

/** What `SCHEDULES.json` holds. */
export interface SchedulesFile<P extends Json = Json> {
  version: 1
  /** For every schedule that names none. */
  timezone?: string
  schedules: readonly Schedule<P>[]
}

/** A schedule to be: `id`, `enabled` (true) and `createdAt` (now) are filled in where missing. */
export type NewSchedule<P extends Json = Json> = Omit<ScheduleBase<P>, 'id' | 'enabled' | 'createdAt'> &
  Partial<Pick<ScheduleBase<P>, 'id' | 'enabled' | 'createdAt'>> &
  When

/** What to change; null removes. A new `at`, `every` or `cron` replaces the old one. */
export type SchedulePatch<P extends Json = Json> = {
  [K in Exclude<keyof ScheduleBase<P>, 'id'>]?: ScheduleBase<P>[K] | null
} & ({ at?: never; every?: never; cron?: never; from?: never } | When)

/** A schedule whose time has come. */
export type Due<P extends Json = Json> = {
  /** `<id of the schedule>@<dueAt>`: the same due always has the same. */
  id: string
  tenant: string
  /** ISO 8601, UTC. */
  dueAt: string
  /** How many earlier dues it stands for, which are not handed over. Counted up to 2,000. */
  missed: number
  schedule: Schedule<P>
}
