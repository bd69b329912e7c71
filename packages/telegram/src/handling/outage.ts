import { type Clock, isTenantBoxError, type TenantBoxError } from '@tenantbox/core'
import { GrammyError, type Transformer } from 'grammy'
import { telegramAway } from '../common/errors.js'
import type { Warn } from '../common/warnings.js'
import { refusalOf } from '../sending/refusal.js'
import type { Handling } from './handling.js'

/** How long a message meets nothing but 5xx before that may be its own fault. */
const PATIENCE_MS = 60 * 60_000

/** What a message has met at its latest attempt. */
interface Met {
  /** Answered with 5xx; undefined when it failed in another way. */
  readonly method: string | undefined
  /** Since when it has met nothing else. */
  readonly since: number
  /** How many calls of this method had been taken by then, of whomever. */
  readonly taken: number
}

/**
 * The messages that wait because Telegram is away: the app is told of the first of them. Watches the bot's calls to tell
 * an outage from a message that Telegram cannot deal with.
 */
export class Outage {
  readonly #clock: Clock
  readonly #warn: Warn
  readonly #waiting = new Map<string, Met>()
  /** How many calls of each method Telegram has taken. */
  readonly #taken = new Map<string, number>()

  constructor(clock: Clock, warn: Warn) {
    this.#clock = clock
    this.#warn = warn
  }

  /** To be installed in an API. */
  get observer(): Transformer {
    return async (call, method, payload, signal) => {
      const answer = await call(method, payload, signal)
      if (answer.ok) this.#taken.set(method, this.#takenOf(method) + 1)
      return answer
    }
  }

  /**
   * Something could not be said. Returns what the mailbox is told, or undefined when it is no outage: an hour long a call
   * was answered with nothing but 5xx, and since the latest attempt Telegram has taken as many such calls as messages wait.
   */
  met(handling: Pick<Handling, 'tenant' | 'id'>, cause: unknown): TenantBoxError | undefined {
    const { tenant } = handling
    if (this.#waiting.size === 0)
      this.#warn(
        'TELEGRAM_UNREACHABLE',
        `What is to be said to tenant ${JSON.stringify(tenant)}, and maybe to others, waits until Telegram takes it again: see the cause.`,
        { tenant, cause },
      )
    if (this.#isToBlame(keyOf(handling), cause)) return undefined
    if (isTenantBoxError(cause, 'SERVICE_UNAVAILABLE')) return cause
    const refusal = refusalOf(cause)
    return telegramAway(cause, {
      tenant,
      ...(refusal?.kind === 'flood' && { retryAfter: refusal.retryAfterMs }),
    })
  }

  /** A message was handled, or given up. */
  over(handling: Pick<Handling, 'tenant' | 'id'>): void {
    this.#waiting.delete(keyOf(handling))
  }

  #isToBlame(message: string, cause: unknown): boolean {
    const method = cause instanceof GrammyError && cause.error_code >= 500 ? cause.method : undefined
    const now = this.#clock.monotonic()
    const taken = method === undefined ? 0 : this.#takenOf(method)
    const last = this.#waiting.get(message)
    const before = method !== undefined && last?.method === method ? last : { since: now, taken }
    this.#waiting.set(message, { method, since: before.since, taken })
    return now - before.since >= PATIENCE_MS && taken - before.taken >= this.#waiting.size
  }

  #takenOf(method: string): number {
    return this.#taken.get(method) ?? 0
  }
}

function keyOf({ tenant, id }: Pick<Handling, 'tenant' | 'id'>): string {
  return JSON.stringify([tenant, id])
}
