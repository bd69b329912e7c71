import type { When } from '@tenantbox/workspace'
import type { ParsedComponents } from 'chrono-node'
import { parse } from 'chrono-node/en'

/** What is wanted, and when. */
export interface Request {
  readonly text: string
  readonly when: When
}

const WEEK = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat']
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

const DAY_OF_WEEK = '(?:sun|mon|tue(?:s)?|wed(?:nes)?|thu(?:rs?)?|fri|sat(?:ur)?)(?:day)?'
const DAY = `(?:${Object.keys(DAY_RULES).join('|')}|${DAY_OF_WEEK})s?\\b`
const SPAN = '(?:minute|min|hour|hr|week|month|year)s?\\b'
const CLOCK = "(\\d{1,2}(?:[:.]\\d{2})?(?:\\s*[ap]\\.?m\\.?|\\s*o['’]clock)?|noon|midnight)(?!\\w)"
const AT_BEFORE = `(?:\\bat\\s+${CLOCK}\\s+)?`
const ON_DAYS = new RegExp(
  `${AT_BEFORE}\\bevery\\s+(${DAY}(?:(?:\\s*,\\s*(?:and\\s+)?|\\s+and\\s+)${DAY})*)(?:\\s+(morning|evening|night)\\b)?(?:\\s+(?:at\\s+)?${CLOCK})?`,
  'i',
)
const EVERY = new RegExp(
  `${AT_BEFORE}\\bevery\\s+(?:(\\d{1,4})\\s+)?(minutes?|mins?|hours?|hrs?|days?|weeks?)\\b`,
  'i',
)
/** Told to come again and again, whether or not we understand when. */
const RULE = new RegExp(
  `\\bevery\\s+(?:\\d|(?:(?:other|second|third|few|working|business|single)\\s+)?(?:${DAY}|${SPAN}))`,
  'i',
)
/** Behind a rule: more of it, which we do not understand. */
const MORE_OF_RULE =
  /^\s*(?:[-–]|(?:and|or|at|on|in|from|starting|until|till|through|except|but)\b|to\s+\w+day\b)/i

/**
 * Takes "in 2 minutes to stretch", "to call mum tomorrow at 18:00" or "every weekday at 9 to stand up" apart: what stands
 * after "remind me". Undefined when no time is told.
 *
 * @param timezone in which the user counts
 */
export function parseRequest(words: string, now: Date, timezone: string): Request | undefined {
  const said = withEvery(words)
  const found = RULE.test(said) ? again(said) : once(said, now, timezone)
  if (!found) return undefined
  const text = tidy(`${said.slice(0, found.index)} ${said.slice(found.index + found.length)}`)
  return text === '' ? undefined : { text, when: found.when }
}

/** "each Monday", "on Mondays at 9" and "daily at 9" in the one way in which rules are written here. */
function withEvery(words: string): string {
  return words
    .replace(new RegExp(`\\beach(?=\\s+(?:${DAY}|${SPAN}))`, 'gi'), 'every')
    .replace(new RegExp(`\\b(?:on\\s+)?((?:weekday|weekend|${DAY_OF_WEEK})s)(?=\\s+at\\b)`, 'gi'), 'every $1')
    .replace(/\bdaily(?=\s+at\b)/gi, 'every day')
}

interface Found {
  readonly index: number
  readonly length: number
  readonly when: When
}

/** A rule is understood to its end, or not at all: half of it would come at the wrong time. */
function again(words: string): Found | undefined {
  const match = ON_DAYS.exec(words)
  const found = match ? onDays(match) : everySoOften(words)
  return found && !MORE_OF_RULE.test(words.slice(found.index + found.length)) ? found : undefined
}

function onDays(match: RegExpExecArray): Found | undefined {
  const [whole, before, names = '', partOfDay, behind] = match
  const days = names
    .toLowerCase()
    .split(/\s*,\s*(?:and\s+)?|\s+and\s+/)
    .map((name) => name.replace(/s$/, ''))
  const [first = ''] = days
  const part = partOfDay?.toLowerCase() ?? first
  const time = timeOf(before ?? behind ?? USUAL_TIMES[part] ?? '09:00')
  if (!time || (before !== undefined && behind !== undefined)) return undefined
  // "every evening at 7"
  const isLate = (part === 'evening' || part === 'night') && time.hour >= 6 && time.hour < 12
  const hour = isLate ? time.hour + 12 : time.hour
  const rule = [...new Set(days.map((day) => DAY_RULES[day] ?? String(WEEK.indexOf(day.slice(0, 3)))))]
  return {
    index: match.index,
    length: whole.length,
    when: { cron: `${time.minute} ${hour} * * ${rule.includes('*') ? '*' : rule.join(',')}` },
  }
}

function everySoOften(words: string): Found | undefined {
  const match = EVERY.exec(words)
  if (!match) return undefined
  const [whole, before, count = '1', name = ''] = match
  const [, unit = ''] = UNIT.exec(name.toLowerCase()) ?? []
  if (Number(count) === 0 || before !== undefined) return undefined
  return { index: match.index, length: whole.length, when: { every: `${Number(count)}${unit[0]}` } }
}

function once(words: string, now: Date, timezone: string): Found | undefined {
  // chrono counts this one in the time zone of the process.
  const said = words.replace(/\b(?:the )?day after tomorrow\b/gi, (all) => 'in 2 days'.padEnd(all.length))
  const reference = { instant: now, timezone: offsetOf(timezone, now) }
  const [result] = parse(said, reference, { forwardDate: true })
  if (!result || result.start.date().getUTCFullYear() > 9999) return undefined
  const { start, index, text } = result
  const isInstant = start.isCertain('timezoneOffset')
  const at = isInstant ? start.date().toISOString() : localTime(start)
  // "at noon", "on 12/05": chrono leaves the word before.
  const [before = ''] = /^(?:\d|noon|midnight)/i.test(text)
    ? (/\b(?:at|on)\s+$/i.exec(words.slice(0, index)) ?? [])
    : []
  return { index: index - before.length, length: before.length + text.length, when: { at } }
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
    /^(\d{1,2})(?:[:.](\d{2}))?\s*(?:([ap])\.?m\.?|o['’]clock)?$/i.exec(named) ?? []
  const minute = Number(minutes)
  const hour = half ? (Number(hours) % 12) + (half.toLowerCase() === 'p' ? 12 : 0) : Number(hours)
  return hours === '' || hour > 23 || minute > 59 ? undefined : { hour, minute }
}

function tidy(text: string): string {
  return text
    .replace(/\s+/g, ' ')
    .replace(/^[\s,:;-]*(?:to|that|about|of)\s+/i, '')
    .replace(/^[\s,:;-]+|[\s,:;.-]+$/g, '')
}
