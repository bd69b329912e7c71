import type { Zone } from './zone.js'

const TIME = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(Z|[+-]\d\d:?\d\d)?$/
const DURATION = /^(\d{1,9})\s?(s|m|h|d|w)$/
const UNITS: Readonly<Record<string, number>> = {
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
}
const MAX_DURATION = 10 * 366 * 86_400_000

/** The instant that a text means, or what is wrong with it. `zone` is for a text without an offset. */
export function parseTime(text: string, zone: Zone | undefined): number | string {
  const match = TIME.exec(text)
  if (!match) return 'must be an ISO 8601 time such as 2026-05-01T09:00:00+02:00'
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match
    .slice(1, 7)
    .map((part) => Number(part ?? 0))
  const wall = Date.UTC(
    year,
    month - 1,
    day,
    hour,
    minute,
    second,
    Number((match[7] ?? '').padEnd(3, '0').slice(0, 3)),
  )
  const date = new Date(wall)
  if (
    year < 1970 ||
    date.getUTCMonth() !== month - 1 ||
    date.getUTCDate() !== day ||
    hour > 23 ||
    minute > 59 ||
    second > 59
  )
    return 'is not a time that exists, from 1970 on'
  const offset = match[8]
  if (offset === undefined) return zone ? zone.instantOf(wall) : 'has no offset, so a timezone is needed'
  if (offset === 'Z') return wall
  const [hours = 0, minutes = 0] = [offset.slice(1, 3), offset.slice(-2)].map(Number)
  if (hours > 23 || minutes > 59) return 'has an offset that no place has'
  return wall - (offset.startsWith('-') ? -1 : 1) * (hours * 60 + minutes) * 60_000
}

/** Milliseconds of a text such as `15m`, or what is wrong with it. */
export function parseDuration(text: string): number | string {
  const match = DURATION.exec(text)
  const ms = Number(match?.[1] ?? 0) * (UNITS[match?.[2] ?? ''] ?? 0)
  if (!match || ms === 0) return 'must be a number and a unit of s, m, h, d or w, such as 15m'
  return ms <= MAX_DURATION ? ms : 'must be at most ten years'
}
