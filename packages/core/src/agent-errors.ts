import { type ErrorDetails, TenantBoxError } from './errors.js'

/** The agent of a tenant did something that it must not. `what` completes "The agent of tenant …". */
export function agentFailed(
  tenant: string | undefined,
  what: string,
  details: ErrorDetails['AGENT_FAILED'],
  context: { cause?: unknown; retryable?: boolean | undefined } = {},
): TenantBoxError<'AGENT_FAILED'> {
  const message = `${agentOf(tenant)} ${what}. Its log may say why.`
  return new TenantBoxError('AGENT_FAILED', message, details, { ...context, tenant })
}

/** Nothing can have been sent to it. */
export function agentUnreachable(tenant: string | undefined, cause: unknown): TenantBoxError<'AGENT_FAILED'> {
  const details = { sent: false, partial: false }
  return agentFailed(tenant, 'cannot be reached: it must listen on its socket', details, { cause })
}

/** It did not do `what` in time. */
export function agentLate(
  tenant: string | undefined,
  what: string,
  afterMs: number,
): TenantBoxError<'TIMEOUT'> {
  const message = `${agentOf(tenant)} did not ${what} within ${afterMs} ms. It may hang: look at its log, or allow it more time.`
  return new TenantBoxError('TIMEOUT', message, { operation: 'request to the agent', afterMs }, { tenant })
}

/** It sent more of `what` than is taken. `bytes` is how much is known of, at least. */
export function agentTooLarge(
  tenant: string | undefined,
  what: string,
  bytes: number,
  limit: number,
): TenantBoxError<'TOO_LARGE'> {
  const message = `${agentOf(tenant)} sent more than ${limit} bytes of ${what}. It must send less at a time.`
  return new TenantBoxError('TOO_LARGE', message, { what, bytes, limit }, { tenant })
}

function agentOf(tenant: string | undefined): string {
  return tenant === undefined ? 'The agent' : `The agent of tenant ${JSON.stringify(tenant)}`
}
