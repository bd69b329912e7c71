import { TenantBoxError } from '@tenantbox/core'
import ms, { type StringValue } from 'ms'

export function toMilliseconds(option: string, value: unknown): number {
  const parsed =
    typeof value === 'string' && /^\d+(\.\d+)?(ms|s|m|h|d)$/.test(value) ? ms(value as StringValue) : value
  if (typeof parsed !== 'number' || !Number.isFinite(parsed) || parsed < 0)
    throw invalidOption(option, "milliseconds or a duration such as '30m' (ms, s, m, h, d)", value)
  return parsed
}

export function positiveBytes(option: string, value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 1)
    throw invalidOption(option, 'whole bytes', value)
  return value
}

export function oneOf<T extends string | false>(option: string, value: unknown, allowed: readonly T[]): T {
  const found = allowed.find((one) => one === value)
  if (found === undefined)
    throw invalidOption(option, allowed.map((one) => JSON.stringify(one)).join(' or '), value)
  return found
}

export function invalidOption(
  option: string,
  expected: string,
  value: unknown,
): TenantBoxError<'INVALID_OPTION'> {
  const got =
    typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
      ? JSON.stringify(value).slice(0, 60)
      : value === null
        ? 'null'
        : typeof value
  return new TenantBoxError('INVALID_OPTION', `Option ${option} must be ${expected}, got ${got}.`, {
    option,
    expected,
    got,
  })
}
