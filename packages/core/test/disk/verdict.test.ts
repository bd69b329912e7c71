import { describe, expect, it } from 'vitest'
import type { Measurement } from '../../src/disk/measure.js'
import { isDue, isNearlyFull, judge } from '../../src/disk/verdict.js'

const measured = (bytes: number, missed?: Measurement['missed']): Measurement => ({
  bytes,
  entries: 1,
  missed,
})

describe('judge', () => {
  it('goes by the bytes when all were counted', () => {
    expect(judge(measured(100), 100, 'unknown')).toBe('within')
    expect(judge(measured(100), 100, 'over')).toBe('within')
    expect(judge(measured(101), 100, 'within')).toBe('over')
  })

  it('takes more than the limit for over, whatever was missed', () => {
    expect(judge(measured(101, 'time'), 100, 'within')).toBe('over')
  })

  it.each(['entries', 'unreadable', 'filesystem', 'moved'] as const)(
    'takes what is hidden (%s) for over',
    (missed) => {
      expect(judge(measured(1, missed), 100, 'within')).toBe('over')
    },
  )

  it('does not blame a tenant for a slow machine', () => {
    expect(judge(measured(1, 'time'), 100, 'unknown')).toBe('within')
    expect(judge(measured(1, 'time'), 100, 'within')).toBe('within')
    expect(judge(measured(1, 'time'), 100, 'over')).toBe('over')
  })
})

describe('isDue', () => {
  const idle = { measuredAt: 0, tookMs: 10, used: false }
  const minutes = (count: number): number => count * 60_000

  it('is at once for who was never measured', () => {
    expect(isDue({ ...idle, measuredAt: Number.NEGATIVE_INFINITY }, 0, false)).toBe(true)
  })

  it('is soon after use, and every five minutes without', () => {
    expect(isDue({ ...idle, used: true }, 14_999, false)).toBe(false)
    expect(isDue({ ...idle, used: true }, 15_000, false)).toBe(true)
    expect(isDue(idle, minutes(5) - 1, false)).toBe(false)
    expect(isDue(idle, minutes(5), false)).toBe(true)
  })

  it('takes at most a twentieth of the time, however long a measurement takes', () => {
    const slow = { ...idle, tookMs: 60_000, used: true }
    expect(isDue(slow, minutes(20) - 1, true)).toBe(false)
    expect(isDue(slow, minutes(20), false)).toBe(true)
  })

  it('is sooner while the disk is nearly full', () => {
    expect(isDue(idle, 15_000, true)).toBe(true)
  })
})

describe('isNearlyFull', () => {
  const GIB = 1024 ** 3

  it('is below a gibibyte of a large disk, and below a twentieth of a small one', () => {
    expect(isNearlyFull(GIB - 1, 1000 * GIB, false)).toBe(true)
    expect(isNearlyFull(GIB, 1000 * GIB, false)).toBe(false)
    expect(isNearlyFull(4, 100, false)).toBe(true)
    expect(isNearlyFull(5, 100, false)).toBe(false)
  })

  it('is over only when there is twice as much room', () => {
    expect(isNearlyFull(9, 100, true)).toBe(true)
    expect(isNearlyFull(10, 100, true)).toBe(false)
  })
})
