import type { Params } from '../http/params.js'
import type { RateLimiter } from '../rate-limits.js'
import type { World } from '../state/world.js'
import type { Polling } from '../updates/polling.js'
import type { Webhook } from '../updates/webhook.js'

/** What a method works on. */
export interface Call {
  readonly world: World
  readonly params: Params
  readonly limiter: RateLimiter
  readonly polling: Polling
  readonly webhook: Webhook
  /** Aborts when the bot no longer waits for the answer. */
  readonly gone: AbortSignal
}

/** @returns what the bot gets as `result` */
export type Method = (call: Call) => unknown
