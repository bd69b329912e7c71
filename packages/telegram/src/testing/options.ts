import type { Clock } from '@tenantbox/core'
import { systemClock } from '../common/clock.js'
import type { RateLimits } from './rate-limits.js'

export interface BotApiServerOptions {
  /** @default '100000:test-token' */
  readonly token?: string
  /** The bot's user name, without the `@`. @default 'test_bot' */
  readonly username?: string
  /** @default any free port of 127.0.0.1 */
  readonly port?: number
  /** Dates, retention, long polls, retries and limits go by it. @default the machine's clock */
  readonly clock?: Clock
  /** How much a bot may send, such as `TELEGRAM_LIMITS`. @default no limits */
  readonly limits?: RateLimits
  /** The id of the first update. @default 1000 */
  readonly firstUpdateId?: number
}

export type ResolvedOptions = Required<BotApiServerOptions>

export function resolveOptions(options: BotApiServerOptions): ResolvedOptions {
  return {
    token: options.token ?? '100000:test-token',
    username: options.username ?? 'test_bot',
    port: options.port ?? 0,
    clock: options.clock ?? systemClock,
    limits: options.limits ?? {},
    firstUpdateId: options.firstUpdateId ?? 1000,
  }
}
