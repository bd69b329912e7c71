import { expect, test } from 'vitest'
import { isLate, withDeadline } from '../src/text/deadline.js'

function endless(): never {
  for (;;);
}

function failureOf(work: () => unknown): unknown {
  try {
    return `no failure, but ${work()}`
  } catch (error) {
    return error
  }
}

test('what would never end is ended', () => {
  expect(isLate(failureOf(() => withDeadline(20, endless)))).toBe(true)
  const pattern = /^(a+)+$/
  expect(isLate(failureOf(() => withDeadline(20, () => pattern.test(`${'a'.repeat(40)}b`))))).toBe(true)
})

test('what ends in time is as without a deadline', () => {
  const failure = new RangeError('its own')
  const failing = (): never => {
    throw failure
  }
  expect(withDeadline(60_000, () => 'done')).toBe('done')
  expect(failureOf(() => withDeadline(60_000, failing))).toBe(failure)
  expect(isLate(failure)).toBe(false)
})
