import type { AgentFile, CallOptions } from '@tenantbox/core'
import type { Bot, Context } from 'grammy'
import { Gateway } from './gateway.js'
import type { TenantFlavor } from './handling/tenant-context.js'
import { resolveOptions, type TelegramOptions } from './options.js'
import type { Webhook } from './receiving/webhook.js'

/** Runs a bot: what Telegram sends is durable before Telegram is told so, and the bot then handles it at least once. */
export interface TelegramGateway {
  /**
   * Opens the pool if need be, goes on with what waits, and receives updates by long polling. Resolves once it does. While
   * Telegram cannot be reached it waits, and says so; a failed start can be repeated.
   *
   * @throws TelegramError `UNAUTHORIZED`, `CLOSED`; TenantBoxError `TIMEOUT` and what `pool.start` throws
   */
  start(options?: CallOptions): Promise<void>
  /**
   * Handlers for a webhook, instead of `start`: register its address with `bot.api.setWebhook(url, { secret_token })`.
   * What waits from before is handled from now on.
   *
   * @param options `secretToken`: 1 to 256 of A-Z, a-z, 0-9, _ and -
   * @throws TenantBoxError `INVALID_OPTION`
   */
  webhook(options: { secretToken: string }): Webhook
  /**
   * Says something to a tenant's people, as Markdown, in the chat they wrote from last. Resolves once it is durable; it is
   * sent in order with what the tenant has waiting.
   *
   * @param message `id`: the same again is the same message again; `text`: 40,000 characters of it at most, captions
   * among them; `files`: in the tenant's workspace
   * @throws TelegramError `NO_CHAT`; TenantBoxError `MAILBOX_FULL`, `NOT_STORED`, `POOL_CLOSED`
   */
  send(
    tenant: string,
    message: { id?: string | undefined; text: string; files?: readonly AgentFile[] | undefined },
  ): Promise<void>
  /**
   * Has messages wait again that were parked after their last attempt, of one tenant or of all, each in its old place.
   * Resolves with how many.
   *
   * @throws TenantBoxError `POOL_CLOSED`, `INVALID_TENANT`
   */
  retryFailed(tenant?: string): Promise<number>
  /** Receives nothing more; what is being handled has 10 s to end, then it is handled again after the next start. The pool stays open. */
  close(): Promise<void>
}

/**
 * Runs a grammY bot on a pool: each chat is a tenant with a box of its own. Call it before you add handlers to the bot,
 * which then find the tenant in `ctx.tenant`; and start the gateway instead of the bot. It adds no commands. A handler that
 * throws is called again, later and later, up to five times; what Telegram is to blame for does not count.
 *
 * @example
 * const bot = new Bot<Context & TenantFlavor>(token)
 * const tg = telegram(bot, { pool })
 * bot.command('stop', (ctx) => void ctx.tenant.cancel())
 * bot.on('message', (ctx) => ctx.tenant.answer())
 * await tg.start()
 */
export function telegram<C extends Context & TenantFlavor>(
  bot: Bot<C>,
  options: TelegramOptions<C>,
): TelegramGateway {
  return new Gateway(bot, resolveOptions(options))
}
