import { isObject, type Json, jsonFault } from './json.js'
import type { Recurrence } from './recurrence.js'
import { recurrenceOf } from './recurrence.js'
import type { Schedule } from './schedule.js'
import { flag, id, json, object, oneOf, type Rule, text } from './shape.js'
import { Zone } from './zone.js'

/** A due carries its schedule, so that it can be handed over when the file says something else by then. */
const MAX_LENGTH = 64 * 1024
const KINDS = ['at', 'every', 'cron'] as const

const SHAPE = {
  id,
  text,
  enabled: flag,
  createdAt: text,
  'timezone?': text,
  'thread?': text,
  'createdBy?': text,
  'until?': text,
  'misfire?': oneOf('latest', 'all', 'skip'),
  'payload?': json,
  'at?': text,
  'every?': text,
  'cron?': text,
  'from?': text,
}

const shape: Rule = object(SHAPE, { open: true })

export type CheckedSchedule =
  | { readonly schedule: Schedule; readonly recurrence: Recurrence }
  | { readonly fault: string }

/** Whether a value is a schedule, and when it is due; or what is wrong with it. */
export function checkSchedule(value: unknown, fileZone: string | undefined): CheckedSchedule {
  const fault = shape(value)
  if (fault !== undefined) return { fault }
  const schedule = value as Schedule
  if (JSON.stringify(schedule).length > MAX_LENGTH)
    return { fault: `is longer than ${MAX_LENGTH} characters` }
  const kinds = KINDS.filter((kind) => schedule[kind] !== undefined)
  if (kinds.length !== 1) return { fault: 'needs exactly one of at, every and cron' }
  if (schedule.from !== undefined && kinds[0] !== 'every') return { fault: 'a from goes with every only' }
  const recurrence = recurrenceOf(schedule, fileZone)
  return typeof recurrence === 'string' ? { fault: recurrence } : { schedule, recurrence }
}

/** The content of `SCHEDULES.json`, before its schedules are looked at; what a newer version adds is kept. */
export interface RawSchedules {
  readonly [key: string]: unknown
  readonly timezone?: string
  readonly schedules: readonly unknown[]
}

/** Takes the file apart; or says why it is none. An empty file has no schedules. */
export function parseSchedules(bytes: Buffer): RawSchedules | string {
  const content = new TextDecoder().decode(bytes)
  if (content.trim() === '') return { version: 1, schedules: [] }
  let value: unknown
  try {
    value = JSON.parse(content)
  } catch {
    // The parser's own message would quote the file.
    return 'is not JSON'
  }
  if (!isObject(value)) return 'must be an object with version and schedules'
  if (value.version !== 1) return 'must have a version of 1'
  if (!Array.isArray(value.schedules)) return 'must have an array of schedules'
  const fault = jsonFault(value as Json)
  if (fault !== undefined) return fault
  const { timezone } = value
  if (timezone !== undefined && (typeof timezone !== 'string' || !Zone.named(timezone)))
    return 'has a timezone that is not known: use a name such as Europe/Berlin'
  return value as unknown as RawSchedules
}
