import { Mailbox, type MailboxOptions, type Turn } from '@tenantbox/core'
import type { Bot, Context } from 'grammy'
import type { Update } from 'grammy/types'
import type { TokenScrubber } from './common/token.js'
import type { Warn } from './common/warnings.js'
import { Answering } from './handling/answering.js'
import { BroughtForward, EarlyHandling } from './handling/brought-forward.js'
import { fromJson, type Letter, sayOf, toJson, updateId } from './handling/letter.js'
import { LetterHandler } from './handling/letter-handler.js'
import type { Outage } from './handling/outage.js'
import { RunningAnswers } from './handling/running-answers.js'
import type { TenantContext, TenantFlavor } from './handling/tenant-context.js'
import type { ResolvedTelegramOptions } from './options.js'
import { Flood } from './receiving/flood.js'
import type { Migrations } from './receiving/migrations.js'
import type { TenantRecord } from './sending/tenant-record.js'

/** How much the mailbox takes. */
export type MailboxBounds = Pick<MailboxOptions, 'maxDepth' | 'maxWaiting'>

export interface LettersHost<C extends Context & TenantFlavor> {
  readonly bot: Bot<C>
  readonly options: ResolvedTelegramOptions<C>
  readonly scrubber: TokenScrubber
  readonly warn: Warn
  readonly outage: Outage
  readonly record: TenantRecord
  readonly migrations: Migrations
  /** Aborts when the gateway closes. */
  readonly closing: AbortSignal
  readonly bounds: MailboxBounds
}

/** The mailbox with what handles it: what is posted here is handled at least once. */
export class Letters<C extends Context & TenantFlavor> {
  readonly #host: LettersHost<C>
  readonly #running = new RunningAnswers()
  readonly #broughtForward = new BroughtForward()
  readonly #flood: Flood<C>
  readonly #handler: LetterHandler<C>
  readonly #mailbox: Mailbox

  constructor(host: LettersHost<C>) {
    const { pool, maxAttempts, onFailure } = host.options
    this.#host = host
    this.#flood = new Flood(host.bot.api, host.warn, onFailure)
    this.#handler = makeHandler(host, this.#running)
    this.#mailbox = new Mailbox({
      pool,
      maxAttempts,
      handle: (turn) => this.#handleTurn(turn),
      fromAgent: (say) => toJson({ kind: 'say', say: sayOf(say) }),
      ...host.bounds,
    })
    this.#mailbox.on('failed', ({ tenant, id, attempts, cause }) => {
      host.outage.over({ tenant, id })
      const what = `A message of tenant ${JSON.stringify(tenant)} was parked after ${attempts} attempts: see the cause. retryFailed() has it wait again.`
      host.warn('PARKED', what, { tenant, cause })
    })
  }

  /** Undefined for an update that is not being handled, or that has no tenant. */
  tenantOf(update: Update): TenantContext | undefined {
    return this.#handler.tenantOf(update)
  }

  async start(): Promise<void> {
    await this.#mailbox.start()
  }

  async close(): Promise<void> {
    await this.#mailbox.close()
  }

  /** Resolves with how many wait again. */
  async retryFailed(tenant: string | undefined): Promise<number> {
    return this.#mailbox.retryFailed(tenant)
  }

  /** Resolves once it is durable. */
  async post(tenant: string, id: string, letter: Letter): Promise<{ duplicate: boolean }> {
    // Agents write their tenants' schedules.
    const from = letter.kind === 'due' ? 'agent' : 'user'
    return this.#mailbox.post(tenant, { id, body: toJson(letter) }, { from })
  }

  /** As `post`; in the lane `now` it is handled beside what the tenant has in hand. */
  async postUpdates(
    tenant: string,
    updates: readonly [Update, ...Update[]],
    lane: 'queue' | 'now',
  ): Promise<{ duplicate: boolean }> {
    const { bot, options, closing } = this.#host
    const id = updateId(bot.botInfo.id, updates[0])
    const letter: Letter = { kind: 'updates', updates }
    const post = () => this.post(tenant, id, letter)
    if (lane === 'queue') return post()
    return this.#broughtForward.begin(id, post, async () => {
      using handling = new EarlyHandling(tenant, id, options.pool, closing)
      await this.#handler.handle(handling, letter)
    })
  }

  /** Somebody has written something that is to be answered. */
  arrived(tenant: string): void {
    if (this.#host.options.whileAnswering === 'interrupt') this.#running.cancel(tenant)
  }

  /** The tenant has too many messages waiting; this one is dropped. */
  flooded(tenant: string, ctx: Context, error: unknown): void {
    this.#flood.met(tenant, ctx as C, error)
  }

  async #handleTurn(turn: Turn): Promise<void> {
    if (await this.#broughtForward.wasHandled(turn.id)) return
    this.#flood.over(turn.tenant)
    await this.#handler.handle(turn, fromJson(turn.body))
  }
}

function makeHandler<C extends Context & TenantFlavor>(
  { bot, options, scrubber, warn, outage, record, migrations }: LettersHost<C>,
  running: RunningAnswers,
): LetterHandler<C> {
  const { pool, clock, stream, editEveryMs, maxFileBytes, render, onFailure, reminders, maxAttempts } =
    options
  const { api, token } = bot
  const onMoved = (from: number, to: number) => migrations.add(from, to)
  const answering = new Answering({
    ...{ api, pool, clock, record, running, warn },
    ...{ stream, editEveryMs, maxFileBytes, render, onMoved },
  })
  return new LetterHandler({
    ...{ bot, pool, answering, running, record, scrubber, warn, outage, maxAttempts, onFailure, reminders },
    tenantIsChat: options.tenant === undefined,
    downloads:
      maxFileBytes === undefined ? undefined : { api, token, scrubber, clock, maxBytes: maxFileBytes },
  })
}
