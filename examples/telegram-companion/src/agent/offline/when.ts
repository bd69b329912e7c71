import type { When } from '@tenantbox/workspace'
import type { ParsedComponents } from 'chrono-node'
import { parse } from 'chrono-node/en'

/** What is wanted, and when. */
export interface Request {
  readonly text: string
  readonly when: When
}

const DAYS = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday']
const DAY_RULES: Readonly<Record<string, string>> = {
  day: '*',
  morning: '*',
  evening: '*',
  night: '*',
  weekday: '1-5',
  weekend: '0,6',
}
const USUAL_TIMES: Readonly<Record<string, string>> = { morning: '08:00', evening: '18:00', night: '21:00' }
const NAMED_TIMES: Readonly<Record<string, string>> = { noon: '12:00', midnight: '00:00' }
const UNIT = /^(minute|min|hour|hr|day|week)s?$/

const DAY = `(?:${[...Object.keys(DAY_RULES), ...DAYS].join('|')})`
const TIME = '(?:at\\s+)?(\\d{1,2}(?:[:.]\\d{2})?\\s*(?:am|pm)?|noon|midnight)\\b'
const ON_DAYS = new RegExp(
  `\\bevery\\s+(${DAY}s?(?:(?:\\s*,\\s*|\\s+and\\s+)${DAY}s?)*)(?:\\s+${TIME})?`,
  'i',
)
const EVERY = /\bevery\s+(?:(\d{1,4})\s+)?(minutes?|mins?|hours?|hrs?|days?|weeks?)\b/i
/** Told to come again and again, whether or not we understand when. */
const RULE = new RegExp(`\\bevery\\s+(?:\\d|${DAY}|minute|min|hour|hr|week)`, 'i')

/**
 * Takes "in 2 minutes to stretch", "to call mum tomorrow at 18:00" or "every weekday at 9 to stand up" apart: what stands
 * after "remind me". Undefined when no time is told.
 *
 * @param timezone in which the user counts
 */
export function parseRequest(words: string, now: Date, timezone: string): Request | undefined {
  const found = RULE.test(words) ? again(words) : once(words, now, timezone)
  if (!found) return undefined
  const text = tidy(`${words.slice(0, found.index)} ${words.slice(found.index + found.length)}`)
  return text === '' ? undefined : { text, when: found.when }
}

interface Found {
  readonly index: number
  readonly length: number
  readonly when: When
}

function again(words: string): Found | undefined {
  const match = ON_DAYS.exec(words)
  return match ? onDays(match) : everySoOften(words)
}

function onDays(match: RegExpExecArray): Found | undefined {
  const [whole, names = '', told] = match
  const days = names
    .toLowerCase()
    .split(/\s*,\s*|\s+and\s+/)
    .map((name) => name.replace(/s$/, ''))
  const [first = ''] = days
  const time = timeOf(told ?? USUAL_TIMES[first] ?? '09:00')
  if (!time) return undefined
  const rule = [...new Set(days.map((day) => DAY_RULES[day] ?? String(DAYS.indexOf(day))))].join(',')
  const dayField = rule.includes('*') ? '*' : rule
  return {
    index: match.index,
    length: whole.length,
    when: { cron: `${time.minute} ${time.hour} * * ${dayField}` },
  }
}

function everySoOften(words: string): Found | undefined {
  const match = EVERY.exec(words)
  if (!match) return undefined
  const [whole, count = '1', name = ''] = match
  const [, unit = ''] = UNIT.exec(name.toLowerCase()) ?? []
  if (Number(count) === 0) return undefined
  return { index: match.index, length: whole.length, when: { every: `${Number(count)}${unit[0]}` } }
}

function once(words: string, now: Date, timezone: string): Found | undefined {
  // chrono counts this one in the time zone of the process.
  const said = words.replace(/\b(?:the )?day after tomorrow\b/gi, (all) => 'in 2 days'.padEnd(all.length))
  const reference = { instant: now, timezone: offsetOf(timezone, now) }
  const [result] = parse(said, reference, { forwardDate: true })
  if (!result) return undefined
  const { start, index, text } = result
  const isInstant = start.isCertain('timezoneOffset')
  const at = isInstant ? start.date().toISOString() : localTime(start)
  return { index, length: text.length, when: { at } }
}

/** Wall clock, without an offset: what clocks change until then is the scheduler's to know. */
function localTime(start: ParsedComponents): string {
  const [year, month, day, hour, minute] = (['year', 'month', 'day', 'hour', 'minute'] as const).map((part) =>
    String(start.get(part) ?? 0).padStart(2, '0'),
  )
  return `${year}-${month}-${day}T${hour}:${minute}:00`
}

/** Minutes that a zone is ahead of UTC at a time. */
function offsetOf(timezone: string, at: Date): number {
  const format = new Intl.DateTimeFormat('en', { timeZone: timezone, timeZoneName: 'longOffset' })
  const name = format.formatToParts(at).find(({ type }) => type === 'timeZoneName')?.value ?? ''
  const [, sign, hours = '0', minutes = '0'] = /GMT([+-])(\d\d):(\d\d)/.exec(name) ?? []
  return (sign === '-' ? -1 : 1) * (Number(hours) * 60 + Number(minutes))
}

function timeOf(told: string): { hour: number; minute: number } | undefined {
  const named = NAMED_TIMES[told.toLowerCase()] ?? told
  const [, hours = '', minutes = '0', half] =
    /^(\d{1,2})(?:[:.](\d{2}))?\s*(am|pm)?$/i.exec(named.trim()) ?? []
  const minute = Number(minutes)
  const hour = half ? (Number(hours) % 12) + (half.toLowerCase() === 'pm' ? 12 : 0) : Number(hours)
  return hours === '' || hour > 23 || minute > 59 ? undefined : { hour, minute }
}

function tidy(text: string): string {
  return text
    .replace(/\s+/g, ' ')
    .replace(/^[\s,:;-]*(?:to|that|about|of)\s+/i, '')
    .replace(/^[\s,:;-]+|[\s,:;.-]+$/g, '')
}
