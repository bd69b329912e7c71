import type { Reminder } from './reminders.js'

const DAY_NAMES = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday']
const DAYS: Readonly<Record<string, string>> = { '*': 'day', '1-5': 'weekday', '0,6': 'Saturday and Sunday' }
const UNITS: Readonly<Record<string, string>> = { s: 'second', m: 'minute', h: 'hour', d: 'day', w: 'week' }

/** "every weekday at 09:00", "on Monday, 4 May 2026 at 18:00": when a reminder comes, in its own time zone. */
export function wordingOf({
  when,
  timezone,
  nextAt,
}: Pick<Reminder, 'when' | 'timezone' | 'nextAt'>): string {
  if (when.every !== undefined) return everyWording(when.every)
  if (when.cron !== undefined)
    return cronWording(when.cron) ?? `by the rule ${when.cron}, next ${momentWording(nextAt, timezone)}`
  return momentWording(nextAt, timezone)
}

export function momentWording(iso: string, timezone: string): string {
  const date = new Date(iso)
  const day = new Intl.DateTimeFormat('en-GB', { dateStyle: 'full', timeZone: timezone }).format(date)
  const time = new Intl.DateTimeFormat('en-GB', { timeStyle: 'short', timeZone: timezone }).format(date)
  return `on ${day} at ${time}`
}

function everyWording(every: string): string {
  const [, count = '', unit = ''] = /^(\d+)([smhdw])$/.exec(every) ?? []
  const name = UNITS[unit] ?? every
  return count === '1' ? `every ${name}` : `every ${count} ${name}s`
}

function cronWording(cron: string): string | undefined {
  const [, minute = '', hour = '', days = ''] = /^(\d+) (\d+) \* \* (\S+)$/.exec(cron) ?? []
  if (hour === '') return undefined
  const names = DAYS[days] ?? dayNames(days)
  return names === undefined
    ? undefined
    : `every ${names} at ${hour.padStart(2, '0')}:${minute.padStart(2, '0')}`
}

function dayNames(days: string): string | undefined {
  const names = days.split(',').map((day) => DAY_NAMES[Number(day)])
  return names.includes(undefined) ? undefined : names.join(' and ')
}
