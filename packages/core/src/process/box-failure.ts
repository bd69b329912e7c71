import type { BoxRef } from '../driver.js'
import { TenantBoxError } from '../errors.js'

export function boxFailed(
  ref: Pick<BoxRef, 'tenant'>,
  why: string,
  details: { phase?: 'create' | 'start'; code?: number | undefined } = {},
  cause?: unknown,
): TenantBoxError<'START_FAILED'> {
  const { phase = 'start', code } = details
  return new TenantBoxError(
    'START_FAILED',
    `The box of tenant ${JSON.stringify(ref.tenant)} ${why}`,
    { phase, oom: false, lastLogs: [], ...(code === undefined ? {} : { code }) },
    { tenant: ref.tenant, cause },
  )
}
