import { type Clock, isTenantBoxError } from '@tenantbox/core'
import { type Api, GrammyError } from 'grammy'
import type { Update } from 'grammy/types'
import { Backoff, sleep } from '../common/clock.js'
import { grammySignal } from '../common/grammy-signal.js'
import type { Warn } from '../common/warnings.js'

/** How long Telegram holds a request open when there is nothing new. */
const LONG_POLL_S = 30
/** A request that takes longer than that, and this, is not answered any more. */
const GRACE_MS = 15_000
const CONFIRM_MS = 2_000
const FIRST_RETRY_MS = 500
const LONGEST_RETRY_MS = 30_000

export interface PollerOptions {
  readonly api: Api
  readonly clock: Clock
  readonly warn: Warn
  /** Resolves when all are durable. */
  readonly take: (updates: readonly Update[]) => Promise<void>
  readonly signal: AbortSignal
}

/**
 * Receives updates by long polling until the signal aborts. Telegram is told that some were received only by the request
 * after the one that brought them, once they are durable. Never rejects.
 */
export async function poll({ api, clock, warn, take, signal }: PollerOptions): Promise<void> {
  let offset: number | undefined
  let closed = false
  const trouble = new Trouble(warn)
  while (!signal.aborted && !closed) {
    const updates = await fetchUpdates()
    const last = updates?.at(-1)
    if (!updates || !last) continue
    if (await store(updates)) offset = last.update_id + 1
  }
  await confirm()

  /** Undefined when there was none to be had; that has been waited for. */
  async function fetchUpdates(): Promise<readonly Update[] | undefined> {
    const late = new AbortController()
    const cancelTimer = clock.after(LONG_POLL_S * 1000 + GRACE_MS, () => late.abort())
    try {
      const updates = await api.getUpdates(
        { ...(offset === undefined ? {} : { offset }), timeout: LONG_POLL_S, allowed_updates: [] },
        grammySignal(AbortSignal.any([signal, late.signal])),
      )
      trouble.over()
      return updates
    } catch (error) {
      await wait(trouble.met(error))
      return undefined
    } finally {
      cancelTimer()
    }
  }

  /** Until they are durable: false when that is over before. */
  async function store(updates: readonly Update[]): Promise<boolean> {
    const backoff = new Backoff(FIRST_RETRY_MS, LONGEST_RETRY_MS)
    while (!signal.aborted) {
      try {
        await take(updates)
        return true
      } catch (cause) {
        closed = isTenantBoxError(cause, 'POOL_CLOSED')
        if (closed) return false
        if (backoff.failures === 0)
          warn('NOT_STORED', 'Updates could not be stored. They stay at Telegram, and are tried again.', {
            cause,
          })
        await wait(backoff.next())
      }
    }
    return false
  }

  async function confirm(): Promise<void> {
    if (offset === undefined) return
    const late = new AbortController()
    const cancelTimer = clock.after(CONFIRM_MS, () => late.abort())
    try {
      await api.getUpdates({ offset, limit: 1, timeout: 0 }, grammySignal(late.signal))
    } catch {
      // They come again at the next start, and are known then.
    } finally {
      cancelTimer()
    }
  }

  async function wait(ms: number): Promise<void> {
    // The loop looks at the signal itself.
    await sleep(clock, ms, signal).catch(() => undefined)
  }
}

/** What keeps updates from being received: said once, until it is something else or over. */
class Trouble {
  readonly #warn: Warn
  readonly #backoff = new Backoff(FIRST_RETRY_MS, LONGEST_RETRY_MS)
  #said: string | undefined

  constructor(warn: Warn) {
    this.#warn = warn
  }

  over(): void {
    this.#backoff.reset()
    this.#said = undefined
  }

  /** Returns how long to wait. */
  met(error: unknown): number {
    const status = error instanceof GrammyError ? error.error_code : undefined
    if (status === 409)
      this.#say(
        'POLLED_ELSEWHERE',
        'Another process receives the updates of this bot, or a webhook does. End that one: each update goes to one of them only.',
        error,
      )
    else if (status === 401 || status === 404)
      this.#say(
        'UNAUTHORIZED',
        'Telegram does not take the token any more. Start again with the right one.',
        error,
      )
    // One request that fails is nothing to speak of.
    else if (this.#backoff.failures > 0)
      this.#say(
        'TELEGRAM_UNREACHABLE',
        'Telegram cannot be reached. It is tried again, later and later.',
        error,
      )
    const retryAfter = error instanceof GrammyError ? (error.parameters.retry_after ?? 0) * 1000 : 0
    return Math.max(retryAfter, this.#backoff.next())
  }

  #say(
    code: 'POLLED_ELSEWHERE' | 'UNAUTHORIZED' | 'TELEGRAM_UNREACHABLE',
    message: string,
    cause: unknown,
  ): void {
    if (this.#said === code) return
    this.#said = code
    this.#warn(code, message, { cause })
  }
}
