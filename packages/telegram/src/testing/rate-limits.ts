import type { Clock } from '@tenantbox/core'
import { tooManyRequests } from './api-error.js'
import type { ChatRecord } from './state/chat-record.js'

/** So many messages at once, and then one each `every` milliseconds. */
export interface RateLimit {
  readonly burst: number
  readonly every: number
}

export interface RateLimits {
  /** In each chat. */
  readonly chat?: RateLimit
  /** In each group, besides `chat`. */
  readonly group?: RateLimit
  /** Over all chats. */
  readonly total?: RateLimit
}

/** About what Telegram allows: a message a second in a chat with short bursts, 20 a minute in a group, 30 a second in all. */
export const TELEGRAM_LIMITS: RateLimits = {
  chat: { burst: 5, every: 1000 },
  group: { burst: 20, every: 3000 },
  total: { burst: 30, every: 1000 / 30 },
}

/** Counts what a bot sends. */
export class RateLimiter {
  readonly #limits: RateLimits
  readonly #clock: Clock
  /** When each allowance will be full again, by its name, in monotonic milliseconds. */
  readonly #fullAt = new Map<string, number>()

  constructor(limits: RateLimits, clock: Clock) {
    this.#limits = limits
    this.#clock = clock
  }

  /** Takes one message from every allowance, or throws 429 and takes none. */
  take({ id, chat }: ChatRecord): void {
    const now = this.#clock.monotonic()
    const { total, group, chat: each } = this.#limits
    const applied: [string, RateLimit | undefined][] = [
      ['total', total],
      [`group ${id}`, chat.type === 'private' ? undefined : group],
      [`chat ${id}`, each],
    ]
    const taken = applied.flatMap(([name, limit]) => {
      if (!limit) return []
      const fullAt = Math.max(this.#fullAt.get(name) ?? 0, now) + limit.every
      return [{ name, fullAt, wait: fullAt - now - limit.burst * limit.every }]
    })
    const wait = Math.max(0, ...taken.map((one) => one.wait))
    if (wait > 0) throw tooManyRequests(Math.max(1, Math.ceil(wait / 1000)))
    for (const { name, fullAt } of taken) this.#fullAt.set(name, fullAt)
  }
}
