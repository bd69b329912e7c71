import { TenantBoxError } from '@tenantbox/core'

/** What the adapter itself fails with; what core and workspace fail with comes as it is. */
export type TelegramErrorCode =
  /** The bot was started in another way than by the gateway. */
  | 'NOT_STARTED_HERE'
  /** An update that belongs to no tenant was to be answered. */
  | 'NO_TENANT'
  /** Nobody has written to the bot from any chat of this tenant yet. */
  | 'NO_CHAT'
  /** The chat is no longer there for the bot: blocked, deleted, or the bot was put out of it. */
  | 'CHAT_GONE'
  /** The agent answered with an `error` event. */
  | 'AGENT_ERROR'
  /** Telegram does not take the token. */
  | 'UNAUTHORIZED'
  /** A file could not be fetched from Telegram. */
  | 'FILE_FAILED'
  | 'CLOSED'

/** The service's name in `SERVICE_UNAVAILABLE`. */
export const TELEGRAM = 'Telegram'

const brand = Symbol.for('dev.tenantbox.telegram.error')

export class TelegramError extends Error {
  override readonly name = 'TelegramError'
  readonly code: TelegramErrorCode
  readonly tenant?: string
  /** Whether the same may succeed later without anything being changed. */
  readonly retryable: boolean

  constructor(
    code: TelegramErrorCode,
    message: string,
    context: { tenant?: string | undefined; cause?: unknown; retryable?: boolean } = {},
  ) {
    super(message, context.cause === undefined ? undefined : { cause: context.cause })
    this.code = code
    if (context.tenant !== undefined) this.tenant = context.tenant
    this.retryable = context.retryable ?? false
    Object.defineProperty(this, brand, { value: true })
  }
}

/** Whether `error` is one of the adapter's, and one of `codes` if any are given; works across copies of the package. */
export function isTelegramError(
  error: unknown,
  ...codes: readonly TelegramErrorCode[]
): error is TelegramError {
  if (!(error instanceof Error && brand in error && 'code' in error)) return false
  return codes.length === 0 || (codes as readonly unknown[]).includes(error.code)
}

/** What a mailbox is told when Telegram is to blame: such an attempt does not count. */
export function telegramAway(
  cause: unknown,
  { tenant, retryAfter }: { tenant?: string; retryAfter?: number } = {},
): TenantBoxError<'SERVICE_UNAVAILABLE'> {
  return new TenantBoxError(
    'SERVICE_UNAVAILABLE',
    'Telegram cannot be reached, or takes nothing now: what it was to be told is kept, and tried again until it does.',
    { service: TELEGRAM },
    { tenant, retryAfter, cause },
  )
}
