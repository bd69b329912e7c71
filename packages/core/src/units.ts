import ms, { type StringValue } from 'ms'
import { TenantBoxError } from './errors.js'

/** Milliseconds, or a string such as `'30m'`. */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`

/** Bytes, or a string such as `'512m'` (powers of 1024). */
export type Size = number | `${number}${'k' | 'm' | 'g'}`

const DURATION = /^\d+(\.\d+)?(ms|s|m|h|d)$/
const SIZE = /^(\d+(?:\.\d+)?)(k|m|g)$/
const FACTOR = { k: 1024, m: 1024 ** 2, g: 1024 ** 3 } as const

export function invalidOption(
  option: string,
  expected: string,
  got: unknown,
): TenantBoxError<'INVALID_OPTION'> {
  const shown = describe(got)
  return new TenantBoxError('INVALID_OPTION', `Option ${option} must be ${expected}, got ${shown}.`, {
    option,
    expected,
    got: shown,
  })
}

/** @throws TenantBoxError `INVALID_OPTION` */
export function toMilliseconds(option: string, value: unknown): number {
  const parsed = typeof value === 'string' && DURATION.test(value) ? ms(value as StringValue) : value
  if (typeof parsed !== 'number' || !Number.isFinite(parsed) || parsed < 0)
    throw invalidOption(option, "milliseconds or a duration such as '30m' (ms, s, m, h, d)", value)
  return parsed
}

/** @throws TenantBoxError `INVALID_OPTION` */
export function toBytes(option: string, value: unknown): number {
  const match = typeof value === 'string' ? SIZE.exec(value) : null
  const parsed = match ? Math.floor(Number(match[1]) * FACTOR[match[2] as keyof typeof FACTOR]) : value
  if (typeof parsed !== 'number' || !Number.isSafeInteger(parsed) || parsed < 1)
    throw invalidOption(option, "whole bytes or a size such as '512m' (k, m, g)", value)
  return parsed
}

/** @throws TenantBoxError `INVALID_OPTION` for a key that is not among `known`: most often a misspelt option. */
export function assertKnownKeys(
  option: string,
  value: unknown,
  known: readonly string[],
): asserts value is object {
  if (value === null || typeof value !== 'object' || Array.isArray(value))
    throw invalidOption(option, 'an object', value)
  for (const key of Object.keys(value))
    if (!known.includes(key))
      throw invalidOption(
        option ? `${option}.${key}` : key,
        `left out: the known ones are ${known.join(', ')}`,
        'an unknown option',
      )
}

/** What somebody passed, short enough for a message; never the content of an object, which may hold a secret. */
function describe(value: unknown): string {
  if (typeof value === 'string')
    return value.length > 60 ? `${JSON.stringify(value.slice(0, 60))}…` : JSON.stringify(value)
  if (typeof value === 'bigint') return `${value}n`
  if (Array.isArray(value)) return `an array of ${value.length}`
  if (typeof value === 'function') return 'a function'
  if (value !== null && typeof value === 'object') return 'an object'
  return String(value)
}

/** @throws TenantBoxError `INVALID_OPTION` */
export function oneOf<T extends string>(option: string, value: unknown, allowed: readonly T[]): T {
  const found = allowed.find((one) => one === value)
  if (found === undefined) throw invalidOption(option, allowed.map((one) => `'${one}'`).join(' or '), value)
  return found
}
