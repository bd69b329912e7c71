import fc from 'fast-check'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { type Recurrence, recurrenceOf } from '../src/recurrence.js'
import type { Schedule } from '../src/schedule.js'

const MINUTE = 60_000
const base = { id: 'x', text: 'x', enabled: true, createdAt: '2020-01-01T00:00:00Z' }

function recurrence(when: object): Recurrence {
  const found = recurrenceOf({ ...base, ...when } as Schedule, undefined)
  if (typeof found === 'string') throw new Error(found)
  return found
}

const iso = (instant: number | undefined) =>
  instant === undefined ? undefined : new Date(instant).toISOString()
const next = (when: object, after: string) => iso(recurrence(when).next(Date.parse(after)))

function several(when: object, after: string, count: number): (string | undefined)[] {
  const found: (string | undefined)[] = []
  for (let at: number | undefined = Date.parse(after); found.length < count && at !== undefined; ) {
    at = recurrence(when).next(at)
    found.push(iso(at))
  }
  return found
}

describe('clocks that change', () => {
  const berlin = { timezone: 'Europe/Berlin' }

  test('a skipped time is as far behind the change', () => {
    expect(several({ cron: '30 2 * * *', ...berlin }, '2026-03-28T12:00:00Z', 2)).toEqual([
      '2026-03-29T01:30:00.000Z',
      '2026-03-30T00:30:00.000Z',
    ])
    expect(next({ at: '2026-03-29T02:30:00', ...berlin }, '2026-01-01T00:00:00Z')).toBe(
      '2026-03-29T01:30:00.000Z',
    )
  })

  test('a time that comes twice counts once, but every hour is every hour', () => {
    expect(several({ cron: '30 2 * * *', ...berlin }, '2026-10-24T12:00:00Z', 2)).toEqual([
      '2026-10-25T00:30:00.000Z',
      '2026-10-26T01:30:00.000Z',
    ])
    expect(several({ cron: '30 * * * *', ...berlin }, '2026-10-24T23:00:00Z', 4)).toEqual([
      '2026-10-24T23:30:00.000Z',
      '2026-10-25T00:30:00.000Z',
      '2026-10-25T01:30:00.000Z',
      '2026-10-25T02:30:00.000Z',
    ])
    expect(next({ at: '2026-10-25T02:30:00', ...berlin }, '2026-01-01T00:00:00Z')).toBe(
      '2026-10-25T00:30:00.000Z',
    )
  })

  test('every half hour has no jump into the past', () => {
    expect(several({ cron: '*/30 * * * *', ...berlin }, '2026-03-29T00:15:00Z', 4)).toEqual([
      '2026-03-29T00:30:00.000Z',
      '2026-03-29T01:00:00.000Z',
      '2026-03-29T01:30:00.000Z',
      '2026-03-29T02:00:00.000Z',
    ])
  })
})

/*
 * The slow reference: looks at every minute of a stretch, in the local time that Intl tells for it, without any of the
 * code under test.
 */
function reference(
  cron: { minutes: number[] | '*'; hours: number[] | '*'; days: number[] | '*' },
  zone: string,
  from: number,
  to: number,
): number[] {
  const format = new Intl.DateTimeFormat('en-GB', {
    timeZone: zone,
    hourCycle: 'h23',
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
  })
  const wallOf = (instant: number): number => {
    const parts = Object.fromEntries(
      format.formatToParts(instant).map(({ type, value }) => [type, Number(value)]),
    )
    return Date.UTC(parts.year ?? 0, (parts.month ?? 1) - 1, parts.day, parts.hour, parts.minute)
  }
  const matches = (wall: number): boolean => {
    const date = new Date(wall)
    const one = (field: number[] | '*', value: number) => field === '*' || field.includes(value)
    return (
      one(cron.minutes, date.getUTCMinutes()) &&
      one(cron.hours, date.getUTCHours()) &&
      one(cron.days, date.getUTCDay())
    )
  }
  const dues = new Set<number>()
  const seen = new Set<number>()
  let last = wallOf(from - 6 * 60 * MINUTE)
  for (let instant = from - 6 * 60 * MINUTE; instant <= to; instant += MINUTE) {
    const wall = wallOf(instant)
    // Skipped minutes are made up for, as far behind the change as they were meant to be.
    for (let skipped = last + MINUTE; skipped < wall; skipped += MINUTE)
      if (matches(skipped)) dues.add(instant + (skipped - last - MINUTE))
    if (matches(wall) && (cron.hours === '*' || !seen.has(wall))) dues.add(instant)
    seen.add(wall)
    last = wall
  }
  return [...dues].filter((due) => due > from && due <= to).sort((one, other) => one - other)
}

const ZONES = [
  'Europe/Berlin',
  'America/New_York',
  'America/St_Johns',
  'Australia/Lord_Howe',
  'Pacific/Chatham',
  'Africa/Casablanca',
  'Asia/Kolkata',
  'America/Sao_Paulo',
  'Asia/Kathmandu',
  'UTC',
]
/** Around changes of the clocks, in some zone at least. */
const STRETCHES = [
  '2026-03-08',
  '2026-03-29',
  '2026-04-05',
  '2026-10-04',
  '2026-10-25',
  '2026-11-01',
  '2026-02-15',
  '2026-03-22',
  '2026-06-01',
]

const list = (field: number[] | '*') => (field === '*' ? '*' : field.join(','))

test('cron is what a minute-by-minute reference says, in ten zones and across their changes', {
  timeout: 300_000,
}, () => {
  type Field = number[] | '*'
  const common = (...fields: Field[]): fc.Arbitrary<Field> => fc.constantFrom(...fields)
  const field = (max: number): fc.Arbitrary<Field> =>
    fc.uniqueArray(fc.nat(max), { minLength: 1, maxLength: 3 })
  fc.assert(
    fc.property(
      fc.record({
        minutes: fc.oneof(field(59), common([0], [30], [0, 30], [15, 45])),
        hours: fc.oneof(common('*'), field(23), common([1], [2], [3], [1, 2, 3])),
        days: fc.oneof({ weight: 3, arbitrary: common('*') }, { weight: 1, arbitrary: field(6) }),
      }),
      fc.constantFrom(...ZONES),
      fc.constantFrom(...STRETCHES),
      fc.nat(24 * 60),
      (cron, zone, day, minute) => {
        const from = Date.parse(`${day}T00:00:00Z`) - 24 * 60 * MINUTE + minute * MINUTE
        const to = from + 60 * 60 * MINUTE
        const pattern = `${list(cron.minutes)} ${list(cron.hours)} * * ${list(cron.days)}`
        const found = recurrence({ cron: pattern, timezone: zone }).between(from, to, 10_000, 10_000)
        expect(found.last.map(iso), `${pattern} ${zone} ${iso(from)}`).toEqual(
          reference(cron, zone, from, to).map(iso),
        )
        expect(found.count).toBe(found.last.length)
      },
    ),
    { numRuns: Number(process.env.TENANTBOX_PROPERTY_RUNS ?? 150) },
  )
})

test('every is arithmetic, from where it is counted', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 60, max: 10_000 }),
      fc.integer({ min: -100_000, max: 100_000 }),
      fc.integer({ min: -200_000, max: 200_000 }),
      fc.integer({ min: 0, max: 100_000 }),
      fc.integer({ min: 1, max: 5 }),
      (step, fromOffset, afterOffset, length, keep) => {
        const created = Date.parse(base.createdAt)
        const from = created + fromOffset * 1000
        const after = created + afterOffset * 1000
        const { between, next } = recurrence({ every: `${step}s`, from: iso(from) })
        const slow: number[] = []
        for (let due = from; due <= after + length * 1000; due += step * 1000)
          if (due > after && due > created) slow.push(due)
        const found = between(after, after + length * 1000, keep, 10_000)
        expect(found.count).toBe(Math.min(slow.length, 10_000))
        expect(found.last).toEqual(slow.slice(-keep))
        expect(next(after)).toBe(slow[0] ?? next(after))
      },
    ),
  )
})

test('nothing is due before it was created, but for an at', () => {
  const created = { createdAt: '2026-05-01T12:00:00Z' }
  expect(next({ every: '1h', ...created }, '1999-01-01T00:00:00Z')).toBe('2026-05-01T13:00:00.000Z')
  expect(next({ cron: '0 * * * *', ...created }, '1999-01-01T00:00:00Z')).toBe('2026-05-01T13:00:00.000Z')
  expect(next({ every: '1d', from: '2026-06-01T09:00:00Z', ...created }, '1999-01-01T00:00:00Z')).toBe(
    '2026-06-01T09:00:00.000Z',
  )
  expect(next({ at: '2026-04-01T00:00:00Z', ...created }, '1999-01-01T00:00:00Z')).toBe(
    '2026-04-01T00:00:00.000Z',
  )
})

test('looking for a day takes few steps, however rare it is and however it is spelled', () => {
  const steps = vi.spyOn(Date, 'UTC')
  onTestFinished(() => steps.mockRestore())
  for (const cron of ['0 0 31 2 *', '0 0 31 2,4,6,9,11 *', '5 0 031,31 2 *', '0 0 30,31 feb *'])
    expect(() => recurrence({ cron }), cron).toThrow('never')
  for (const cron of ['0 0 29 2 *', '0 0 31 12 *', '0 0 * 2 1#4', '0 0 * 2 5L'])
    expect(next({ cron }, '2026-03-01T00:00:00Z'), cron).toBeDefined()
  expect(steps.mock.calls.length).toBeLessThan(1000)
})

test('days that can be decades apart are refused', () => {
  for (const cron of ['0 0 29 2 +1', '0 0 31W 2 *', '0 0 LW * *', '0 0 * 2 1#5', '0 0 ? * 1'])
    expect(() => recurrence({ cron }), cron).toThrow('not supported')
})

test('the last day of a month, and a weekday of a month counted from either end', () => {
  expect(several({ cron: '0 9 L * *' }, '2027-01-31T10:00:00Z', 2)).toEqual([
    '2027-02-28T09:00:00.000Z',
    '2027-03-31T09:00:00.000Z',
  ])
  expect(several({ cron: '0 9 * * fri#1,5L' }, '2027-01-01T00:00:00Z', 2)).toEqual([
    '2027-01-01T09:00:00.000Z',
    '2027-01-29T09:00:00.000Z',
  ])
})

test('a name is its pattern', () => {
  for (const [name, cron] of [
    ['@hourly', '0 * * * *'],
    ['@daily', '0 0 * * *'],
    ['@weekly', '0 0 * * 0'],
    ['@monthly', '0 0 1 * *'],
    ['@yearly', '0 0 1 1 *'],
  ])
    expect(several({ cron: name }, base.createdAt, 30), name).toEqual(several({ cron }, base.createdAt, 30))
  expect(() => recurrence({ cron: '@reboot' })).toThrow('five fields')
})

test('a very old one is counted in bounded time', () => {
  const { count, last } = recurrence({ cron: '* * * * *', createdAt: '1970-01-01T00:00:00Z' }).between(
    Number.NEGATIVE_INFINITY,
    Date.parse('2026-01-01T00:00:00Z'),
    3,
    10_000,
  )
  expect(count).toBe(10_000)
  expect(last.map(iso)).toEqual([
    '2025-12-31T23:58:00.000Z',
    '2025-12-31T23:59:00.000Z',
    '2026-01-01T00:00:00.000Z',
  ])
})
