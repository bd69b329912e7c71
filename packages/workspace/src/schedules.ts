import { randomUUID } from 'node:crypto'
import type { StandardSchemaV1 } from '@standard-schema/spec'
import { shown, WorkspaceError } from './errors.js'
import { isObject, type Json } from './json.js'
import { type OnProblem, ProblemReport } from './problem.js'
import type { Recurrence } from './recurrence.js'
import type { Due, NewSchedule, Schedule, SchedulePatch } from './schedule.js'
import { checkSchedule, parseSchedules, type RawSchedules } from './schedule-check.js'
import { checkWith } from './schema.js'
import { forEachInTurns } from './turns.js'
import { VersionedFile } from './versioned-file.js'

export interface ValidSchedule {
  readonly schedule: Schedule
  readonly recurrence: Recurrence
}

export const SCHEDULES_FILE = 'SCHEDULES.json'
export const SCHEDULES_LIMIT = 1024 * 1024
const WHEN = ['at', 'every', 'cron', 'from'] as const

/** What is to happen and when, in `SCHEDULES.json`. A `Scheduler` sees to it. */
export class Schedules<P extends Json = Json> {
  readonly #file: VersionedFile
  readonly #tenant: string
  readonly #schema: StandardSchemaV1<Json, Json> | undefined
  readonly #onProblem: OnProblem

  constructor(
    directory: string,
    tenant: string,
    schema: StandardSchemaV1<Json, Json> | undefined,
    onProblem: OnProblem,
  ) {
    this.#file = new VersionedFile(directory, SCHEDULES_FILE, SCHEDULES_LIMIT)
    this.#tenant = tenant
    this.#schema = schema
    this.#onProblem = onProblem
  }

  /**
   * All schedules that are valid, with the time they are due next; others are reported, and stay in the file.
   *
   * @throws WorkspaceError `INVALID_FILE` when the file as a whole is broken; `TOO_LARGE` over 1 MiB
   */
  async list(): Promise<readonly (Schedule<P> & { nextAt?: string })[]> {
    const listed: (Schedule<P> & { nextAt?: string })[] = []
    await this.#withNext(Date.now(), (schedule, next) => {
      listed.push(next === undefined ? schedule : { ...schedule, nextAt: new Date(next).toISOString() })
    })
    return listed
  }

  /** @throws WorkspaceError `INVALID_SCHEDULE`, also for an `id` that is taken; `TOO_LARGE`, `INVALID_FILE` */
  async add(schedule: NewSchedule<P>): Promise<Schedule<P>> {
    const { id = randomUUID(), enabled = true, createdAt = new Date().toISOString(), ...rest } = schedule
    const added = clean({ id, enabled, createdAt, ...rest, ...(await this.#checkedPayload(schedule)) })
    await this.#edit((raw) => {
      assertValid(added, raw.timezone)
      if (raw.schedules.some((other) => isObject(other) && other.id === id))
        throw invalidSchedule('its id is taken', id)
      return [...raw.schedules, added]
    })
    return added as unknown as Schedule<P>
  }

  /** @throws WorkspaceError `NOT_FOUND` when there is no schedule with that id; as `add` */
  async update(id: string, patch: SchedulePatch<P>): Promise<Schedule<P>> {
    const checked = { ...patch, ...(await this.#checkedPayload(patch)), id }
    let updated: Readonly<Record<string, unknown>> = {}
    await this.#edit((raw) => {
      const index = raw.schedules.findIndex((other) => isObject(other) && other.id === id)
      const old = raw.schedules[index]
      if (!isObject(old)) throw noSchedule(id)
      updated = patched(old, checked)
      assertValid(updated, raw.timezone)
      return raw.schedules.with(index, updated)
    })
    return updated as unknown as Schedule<P>
  }

  /** False when there was none with that id. */
  async remove(id: string): Promise<boolean> {
    let removed = false
    await this.#edit((raw) => {
      const rest = raw.schedules.filter((other) => !(isObject(other) && other.id === id))
      removed = rest.length < raw.schedules.length
      return rest
    })
    return removed
  }

  /** The next due of each enabled schedule after a time, soonest first. */
  async next(after: Date): Promise<readonly Due<P>[]> {
    const dues: Due<P>[] = []
    await this.#withNext(after.getTime(), (schedule, next) => {
      if (next === undefined) return
      const dueAt = new Date(next).toISOString()
      dues.push({ id: `${schedule.id}@${dueAt}`, tenant: this.#tenant, dueAt, missed: 0, schedule })
    })
    return dues.sort((one, other) => one.dueAt.localeCompare(other.dueAt))
  }

  /** Calls back for each schedule, with when it is due next after an instant. */
  async #withNext(
    after: number,
    use: (schedule: Schedule<P>, next: number | undefined) => void,
  ): Promise<void> {
    await forEachInTurns(await this.#read(), ({ schedule, recurrence }) =>
      use(schedule, schedule.enabled ? recurrence.next(after) : undefined),
    )
  }

  async #read(): Promise<{ schedule: Schedule<P>; recurrence: Recurrence }[]> {
    const { bytes } = await this.#file.read()
    const raw = parsed(bytes)
    const report = new ProblemReport(this.#onProblem)
    const found = await validSchedules(raw, (message) => report.add({ file: SCHEDULES_FILE, message }))
    const checked: { schedule: Schedule<P>; recurrence: Recurrence }[] = []
    for (const { schedule, recurrence } of found) {
      const payload =
        schedule.payload === undefined ? { value: null } : await checkWith(this.#schema, schedule.payload)
      if ('fault' in payload)
        report.add({
          file: SCHEDULES_FILE,
          message: `The schedule ${shown(schedule.id)} is left out: payload ${payload.fault}.`,
        })
      else {
        const typed = schedule.payload === undefined ? schedule : { ...schedule, payload: payload.value }
        checked.push({ schedule: typed as Schedule<P>, recurrence })
      }
    }
    return checked
  }

  async #edit(change: (raw: RawSchedules) => readonly unknown[]): Promise<void> {
    await this.#file.edit((bytes) => {
      const raw = parsed(bytes)
      const schedules = change(raw)
      const same =
        schedules.length === raw.schedules.length &&
        schedules.every((item, index) => item === raw.schedules[index])
      return same ? bytes : Buffer.from(`${JSON.stringify({ ...raw, schedules }, null, 2)}\n`)
    })
  }

  async #checkedPayload({ payload }: { payload?: Json | null }): Promise<{ payload?: Json }> {
    if (payload === undefined || payload === null) return {}
    const checked = await checkWith(this.#schema, payload)
    if ('fault' in checked) throw invalidSchedule(`payload ${checked.fault}`)
    return { payload: checked.value }
  }
}

/** The schedules of a file that can be used; of two with the same id the first. */
export async function validSchedules(
  raw: RawSchedules,
  onFault: (message: string) => void,
): Promise<readonly ValidSchedule[]> {
  const found = new Map<string, ValidSchedule>()
  await forEachInTurns(raw.schedules.entries(), ([index, item]) => {
    const checked = checkSchedule(item, raw.timezone)
    if ('fault' in checked) onFault(`The schedule at index ${index} is left out: ${checked.fault}.`)
    else if (found.has(checked.schedule.id))
      onFault(`The schedule at index ${index} is left out: its id is that of an earlier one.`)
    else found.set(checked.schedule.id, checked)
  })
  return [...found.values()]
}

function parsed(bytes: Buffer): RawSchedules {
  const raw = parseSchedules(bytes)
  if (typeof raw !== 'string') return raw
  throw new WorkspaceError('INVALID_FILE', `${SCHEDULES_FILE} ${raw}. Correct it, or remove it.`, {
    path: SCHEDULES_FILE,
    reason: raw,
  })
}

function patched(
  old: { readonly [key: string]: unknown },
  patch: { readonly [key: string]: unknown },
): Readonly<Record<string, unknown>> {
  const replacesWhen = WHEN.some((key) => patch[key] !== undefined)
  const kept = Object.entries(old).filter(
    ([key]) => !(replacesWhen && (WHEN as readonly string[]).includes(key)),
  )
  const merged = Object.entries({ ...Object.fromEntries(kept), ...clean(patch) })
  return Object.fromEntries(merged.filter(([, value]) => value !== null))
}

/** Without undefined values; what JSON cannot hold is refused. */
function clean(value: object): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(JSON.stringify(value)) as Readonly<Record<string, unknown>>
  } catch (error) {
    throw invalidSchedule('cannot be written as JSON', undefined, error)
  }
}

function assertValid(schedule: Readonly<Record<string, unknown>>, timezone: string | undefined): void {
  const checked = checkSchedule(schedule, timezone)
  if ('fault' in checked)
    throw invalidSchedule(checked.fault, typeof schedule.id === 'string' ? schedule.id : undefined)
}

function invalidSchedule(reason: string, id?: string, cause?: unknown): WorkspaceError<'INVALID_SCHEDULE'> {
  const details = id === undefined ? { reason } : { id, reason }
  return new WorkspaceError('INVALID_SCHEDULE', `This is no schedule: ${reason}.`, details, { cause })
}

function noSchedule(id: string): WorkspaceError<'NOT_FOUND'> {
  return new WorkspaceError('NOT_FOUND', `${SCHEDULES_FILE} has no schedule ${shown(id)}.`, {
    path: SCHEDULES_FILE,
  })
}
