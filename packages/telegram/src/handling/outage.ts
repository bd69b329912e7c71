import { isTenantBoxError, type TenantBoxError } from '@tenantbox/core'
import { telegramAway } from '../common/errors.js'
import type { Warn } from '../common/warnings.js'
import { refusalOf } from '../sending/refusal.js'

/** Whose messages wait because Telegram is away: the app is told of the first of them. */
export class Outage {
  readonly #warn: Warn
  readonly #waiting = new Set<string>()

  constructor(warn: Warn) {
    this.#warn = warn
  }

  /** Something could not be said to a tenant. Returns what its mailbox is told. */
  met(tenant: string, cause: unknown): TenantBoxError {
    if (this.#waiting.size === 0)
      this.#warn(
        'TELEGRAM_UNREACHABLE',
        `What is to be said to tenant ${JSON.stringify(tenant)}, and maybe to others, waits until Telegram takes it again: see the cause.`,
        { tenant, cause },
      )
    this.#waiting.add(tenant)
    if (isTenantBoxError(cause, 'SERVICE_UNAVAILABLE')) return cause
    const refusal = refusalOf(cause)
    return telegramAway(cause, {
      tenant,
      ...(refusal?.kind === 'flood' && { retryAfter: refusal.retryAfterMs }),
    })
  }

  /** A tenant's message was handled. */
  over(tenant: string): void {
    this.#waiting.delete(tenant)
  }
}
