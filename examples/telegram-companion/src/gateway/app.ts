import { type CallOptions, isTenantBoxError, type PoolOptions, TenantPool } from '@tenantbox/core'
import { isTelegramError, telegram } from '@tenantbox/telegram'
import { Bot } from 'grammy'
import { addCommands, COMMANDS, type CompanionContext } from './commands.js'
import { Budget } from './llm/budget.js'
import { llmProxy, type ModelAccess } from './llm/llm-proxy.js'
import { codeOf, type Log } from './log.js'

export interface CompanionOptions {
  /** Of the bot, from @BotFather. */
  readonly token: string
  /** @default Telegram's own */
  readonly apiRoot?: string | undefined
  /** What the pool is made of. `box` has the agent's image or command. */
  readonly pool: PoolOptions
  /** @default the agents go by rules, offline */
  readonly model?: ModelAccess | undefined
  readonly log: Log
}

export interface CompanionApp {
  readonly pool: TenantPool
  /** Receives messages from now on. */
  start(options?: CallOptions): Promise<void>
  /** Lets what is being answered come to its end. */
  close(): Promise<void>
}

/** The gateway: one process that has the bot's token, the model's key, and a box for each chat. */
export function companionApp({
  token,
  apiRoot,
  pool: poolOptions,
  model,
  log,
}: CompanionOptions): CompanionApp {
  const { box } = poolOptions
  const env = { ...box.env, ...(model && { COMPANION_MODEL: model.model }) }
  const pool = new TenantPool({ ...poolOptions, box: { ...box, env } })
  const stopLogging = logPool(pool, log)
  if (model) {
    const budget = new Budget(() => performance.now())
    pool.serve(
      '/llm',
      llmProxy({ access: model, budget, onTrouble: (trouble) => log('model trouble', trouble) }),
    )
  }

  const bot = new Bot<CompanionContext>(token, apiRoot === undefined ? {} : { client: { apiRoot } })
  const gateway = telegram(bot, {
    pool,
    lane: (ctx) => (ctx.hasCommand('cancel') ? 'now' : 'queue'),
    // The agent drops a reminder that will not come again by the id it gets here.
    reminders: ({ schedule }) => ({ text: schedule.text, data: schedule.id }),
    onFailure(error, ctx) {
      log('message failed', { tenant: ctx.chat?.id, code: codeOf(error) })
      return apology(error)
    },
    onWarning: ({ code, tenant }) => log('telegram warning', { code, tenant }),
  })
  addCommands(bot, model?.model ?? 'rules, offline')
  bot.on(['message:text', 'message:file'], (ctx) => ctx.tenant.answer())

  return {
    pool,
    async start(options) {
      await gateway.start(options)
      // The menu is a nicety: without it the commands work all the same.
      await bot.api.setMyCommands(COMMANDS).catch((error) => log('no menu', { code: codeOf(error) }))
      log('listening', { bot: bot.botInfo.username })
    },
    async close() {
      await gateway.close()
      await pool.close()
      stopLogging()
    },
  }
}

function logPool(pool: TenantPool, log: Log): () => void {
  const stops = [
    pool.on('transition', ({ tenant, from, to, reason, ms }) =>
      log('box', { tenant, from, to, reason, ms: Math.round(ms) }),
    ),
    pool.on('engine', ({ state, attempt }) => log('engine', { state, attempt })),
    pool.on('lock', ({ state }) => log('lock', { state })),
    pool.on('warning', ({ code, tenant }) => log('warning', { code, tenant })),
  ]
  return () => {
    for (const stop of stops) stop()
  }
}

/** What a user is told who gets no answer. */
function apology(error: unknown): string {
  // The agent's own words, to its own user.
  if (isTelegramError(error, 'AGENT_ERROR') && error.cause instanceof Error) return error.cause.message
  if (isTenantBoxError(error, 'OVER_QUOTA')) return 'My disk is full. Please /export and /forget.'
  if (isTenantBoxError(error, 'CAPACITY', 'QUEUE_TIMEOUT'))
    return 'Too many people write to me at once. Please try again in a minute.'
  return 'Something went wrong here. Please try again later.'
}
