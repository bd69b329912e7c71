import { errnoOf } from '../errno.js'
import { type ErrorDetails, isTenantBoxError, TenantBoxError } from '../errors.js'
import { toMessage } from '../text.js'

const FULL_RETRY_MS = 5_000

/** A bound that one more message would exceed. */
export type Bound = ErrorDetails['MAILBOX_FULL']

export function mailboxFull(tenant: string, reached: Bound): TenantBoxError<'MAILBOX_FULL'> {
  const { bound, depth, limit } = reached
  const why =
    bound === 'tenant'
      ? `${depth} of its messages wait or have failed, and it takes at most ${limit} (maxDepth). Post again later, or see why they are not handled.`
      : `${depth} messages wait in all mailboxes, which take at most ${limit} (maxWaiting). Post again later.`
  return new TenantBoxError(
    'MAILBOX_FULL',
    `The mailbox of tenant ${JSON.stringify(tenant)} is full: ${why}`,
    { bound, depth, limit },
    { tenant, retryAfter: FULL_RETRY_MS },
  )
}

/** What a post fails with; a disk that is full or broken becomes `NOT_STORED`. */
export function notStored(tenant: string, cause: unknown): unknown {
  if (isTenantBoxError(cause)) return cause
  const errno = errnoOf(cause)
  const advice = errno === 'ENOSPC' || errno === 'EDQUOT' ? 'Give the disk room' : 'See to what it names'
  return new TenantBoxError(
    'NOT_STORED',
    `The message to tenant ${JSON.stringify(tenant)} could not be stored: ${toMessage(cause)}. ${advice}, and post it again.`,
    { errno },
    { tenant, cause },
  )
}

export function mailboxClosed(): TenantBoxError<'POOL_CLOSED'> {
  return new TenantBoxError(
    'POOL_CLOSED',
    'This mailbox is closed. Make a new Mailbox to go on; what waits in it is kept.',
    {},
  )
}
