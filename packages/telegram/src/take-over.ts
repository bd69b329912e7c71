import { autoRetry } from '@grammyjs/auto-retry'
import type { Clock } from '@tenantbox/core'
import type { Bot, Context } from 'grammy'
import type { Update } from 'grammy/types'
import { TelegramError } from './common/errors.js'
import type { TokenScrubber } from './common/token.js'
import type { Outage } from './handling/outage.js'
import type { TenantContext, TenantFlavor } from './handling/tenant-context.js'
import { callDeadline } from './sending/call-deadline.js'

/** Telegram may say to wait for longer: then it is left to the message's next attempt. */
const LONGEST_WAIT_S = 60

/**
 * Makes a bot the gateway's: its calls end, and wait as Telegram says, its errors hold no token, its handlers find
 * `ctx.tenant`.
 */
export function takeOver<C extends Context & TenantFlavor>(
  bot: Bot<C>,
  { clock, outage, scrubber }: { clock: Clock; outage: Outage; scrubber: TokenScrubber },
  tenantOf: (update: Update) => TenantContext | undefined,
): void {
  const { timeoutSeconds } = bot.api.options ?? {}
  bot.api.config.use(
    ...(timeoutSeconds === undefined ? [callDeadline(clock)] : []),
    outage.observer,
    autoRetry({
      maxDelaySeconds: LONGEST_WAIT_S,
      rethrowHttpErrors: true,
      rethrowInternalServerErrors: true,
    }),
    scrubber.transformer,
  )
  bot.start = () =>
    Promise.reject(
      new TelegramError(
        'NOT_STARTED_HERE',
        'This bot is run by telegram(): call start() of what that returned. bot.start() would lose messages.',
      ),
    )
  bot.use(async (ctx, next) => {
    const tenant = tenantOf(ctx.update)
    Object.defineProperty(ctx, 'tenant', { get: () => tenant ?? nobody(), configurable: true })
    await next()
  })
}

function nobody(): never {
  throw new TelegramError(
    'NO_TENANT',
    'This update belongs to no tenant, or did not come by the gateway: there is no ctx.tenant.',
  )
}
