import type { BoxRef } from '../driver.js'
import { TenantBoxError } from '../errors.js'

export function driverClosed(): TenantBoxError<'POOL_CLOSED'> {
  return new TenantBoxError('POOL_CLOSED', 'The memory driver is not open. Start the pool first.', {})
}

export function noImage(name: string): TenantBoxError<'START_FAILED'> {
  return new TenantBoxError(
    'START_FAILED',
    `There is no image ${JSON.stringify(name)}. Name one that the engine was given, or build it.`,
    { phase: 'pull', oom: false, lastLogs: [] },
  )
}

/** As the system says it of a socket that nobody listens on. */
export function connectionRefused(ref: BoxRef): Error {
  return Object.assign(new Error(`The box of ${ref.slug} refuses connections.`), { code: 'ECONNREFUSED' })
}

export function boxFailed(
  ref: BoxRef,
  why: string,
  phase: 'create' | 'start' = 'start',
): TenantBoxError<'START_FAILED'> {
  return new TenantBoxError(
    'START_FAILED',
    `The box of tenant ${JSON.stringify(ref.tenant)} ${why}.`,
    { phase, oom: false, lastLogs: [] },
    { tenant: ref.tenant },
  )
}

export function foreignBox(name: string): TenantBoxError<'FOREIGN_BOX'> {
  return new TenantBoxError(
    'FOREIGN_BOX',
    `The box named ${JSON.stringify(name)} was not made by this pool. Remove or rename it, or give the pool another name.`,
    { box: name },
  )
}
