import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { autoRetry } from '@grammyjs/auto-retry'
import { type CallOptions, Mailbox, TenantBoxError, type Turn } from '@tenantbox/core'
import type { Bot, Context } from 'grammy'
import type { Update } from 'grammy/types'
import { Albums } from './albums.js'
import { Answering } from './answering.js'
import { BroughtForward, EarlyHandling } from './brought-forward.js'
import { orAbort } from './clock.js'
import { TelegramError } from './errors.js'
import { untilReached } from './first-contact.js'
import { Flood } from './flood.js'
import { grammySignal } from './grammy-signal.js'
import { Intake } from './intake.js'
import { dueId, fromJson, type Letter, type Say, sayId, sayOf, toJson, updateId } from './letter.js'
import { LetterHandler, noChat } from './letter-handler.js'
import { Migrations } from './migrations.js'
import { NobodysUpdates } from './nobodys-updates.js'
import { type ResolvedTelegramOptions, toMilliseconds } from './options.js'
import { poll } from './poller.js'
import { startReminders } from './reminders.js'
import { RunningAnswers } from './running-answers.js'
import type { TenantFlavor } from './tenant-context.js'
import { TenantRecord } from './tenant-record.js'
import { TokenScrubber } from './token.js'
import { type Warn, warner } from './warnings.js'
import { createWebhook, type Webhook } from './webhook.js'

/** Telegram may say to wait for longer: then it is left to the message's next attempt. */
const LONGEST_WAIT_S = 60

/** What is there once the gateway is open. */
interface Opened {
  readonly intake: Intake
  close(): Promise<void>
}

type Phase =
  | { readonly name: 'new' }
  | { readonly name: 'open'; readonly opened: Promise<Opened>; polling?: Promise<void> }
  | { readonly name: 'closed'; readonly done: Promise<void> }

export class Gateway<C extends Context & TenantFlavor> {
  readonly #bot: Bot<C>
  readonly #options: ResolvedTelegramOptions<C>
  readonly #scrubber: TokenScrubber
  readonly #warn: Warn
  readonly #record: TenantRecord
  readonly #running = new RunningAnswers()
  readonly #broughtForward = new BroughtForward()
  readonly #closing = new AbortController()
  readonly #flood: Flood<C>
  readonly #nobodys: NobodysUpdates<C>
  readonly #mailbox: Mailbox
  readonly #handler: LetterHandler<C>
  #migrations: Migrations | undefined
  #phase: Phase = { name: 'new' }

  constructor(bot: Bot<C>, options: ResolvedTelegramOptions<C>) {
    const { pool, clock } = options
    this.#bot = bot
    this.#options = options
    this.#scrubber = new TokenScrubber(bot.token)
    this.#warn = warner(options.onWarning, clock.now, (error) => this.#scrubber.error(error))
    this.#record = new TenantRecord(pool.dataDir)
    this.#flood = new Flood(bot.api, this.#warn, options.onFailure)
    this.#nobodys = new NobodysUpdates(bot, this.#warn)
    this.#handler = this.#makeHandler()
    this.#mailbox = new Mailbox({
      pool,
      maxAttempts: options.maxAttempts,
      handle: (turn) => this.#handleTurn(turn),
      fromAgent: (say) => toJson({ kind: 'say', say: sayOf(say) }),
    })
    this.#takeOver()
  }

  async start({ signal, timeout }: CallOptions = {}): Promise<void> {
    const bounds = [this.#closing.signal, ...(signal ? [signal] : [])]
    const late = new AbortController()
    const afterMs = timeout === undefined ? undefined : toMilliseconds('timeout', timeout)
    const cancelTimer =
      afterMs === undefined
        ? undefined
        : this.#options.clock.after(afterMs, () => late.abort(startTimedOut(afterMs)))
    try {
      const bounded = AbortSignal.any([...bounds, late.signal])
      await orAbort(this.#open(), bounded)
      await this.#reach((within) => this.#bot.api.deleteWebhook({}, grammySignal(within)), bounded)
      await this.#beginPolling()
    } finally {
      cancelTimer?.()
    }
  }

  webhook(options: { secretToken: string }): Webhook {
    const take = async (update: Update): Promise<void> => {
      const { intake } = await this.#open()
      try {
        await intake.take([update])
      } catch (cause) {
        this.#warn(
          'NOT_STORED',
          'An update could not be stored. It stays at Telegram, which sends it again.',
          {
            cause,
          },
        )
        throw cause
      }
    }
    const webhook = createWebhook(options, take)
    // What waits from before is handled without waiting for a request; a failure shows at the next one.
    this.#open().catch(() => undefined)
    return webhook
  }

  async send(
    tenant: string,
    { id = randomUUID(), ...say }: { id?: string | undefined } & Say,
  ): Promise<void> {
    if (this.#record.places(tenant).length === 0) throw noChat(tenant)
    await this.#postLetter(tenant, sayId(id), { kind: 'say', say: sayOf(say) })
  }

  close(): Promise<void> {
    if (this.#phase.name === 'closed') return this.#phase.done
    const done = this.#close(this.#phase)
    this.#phase = { name: 'closed', done }
    return done
  }

  async #close(was: Phase): Promise<void> {
    this.#closing.abort(closed())
    if (was.name === 'open') {
      await was.polling
      // One that failed has undone what it had done.
      const opened = await was.opened.catch(() => undefined)
      await opened?.close()
    }
    await this.#mailbox.close()
    await this.#nobodys.idle()
  }

  /** One opening for all who ask; one that failed can be repeated. */
  #open(): Promise<Opened> {
    if (this.#phase.name === 'open') return this.#phase.opened
    if (this.#phase.name === 'closed') return Promise.reject(closed())
    const phase: Phase = { name: 'open', opened: this.#doOpen() }
    this.#phase = phase
    phase.opened.catch(() => {
      if (this.#phase === phase) this.#phase = { name: 'new' }
    })
    return phase.opened
  }

  async #doOpen(): Promise<Opened> {
    const { pool, gatherMs, clock, reminders } = this.#options
    const { signal } = this.#closing
    await pool.start({ signal })
    if (!this.#bot.isInited())
      this.#bot.botInfo = await this.#reach((within) => this.#bot.api.getMe(grammySignal(within)), signal)
    const directory = join(pool.dataDir, '.tenantbox', 'telegram')
    const migrations = await Migrations.open(directory)
    this.#migrations = migrations
    const albums = new Albums({
      directory: join(directory, 'albums'),
      gatherMs,
      clock,
      post: (tenant, updates) => intake.takeAlbum(tenant, updates),
      onFailure: (tenant, cause) =>
        this.#warn('NOT_STORED', 'An album could not be stored. It is tried again.', { tenant, cause }),
    })
    const intake = this.#makeIntake(migrations, albums)
    const undo: (() => Promise<void>)[] = [() => albums.close()]
    const close = async (): Promise<void> => {
      for (const step of undo.reverse()) await step()
    }
    try {
      await albums.load()
      if (reminders) {
        const started = await startReminders({
          pool,
          stateDir: join(directory, 'scheduler'),
          warn: this.#warn,
          post: (due) => this.#postLetter(due.tenant, dueId(due), { kind: 'due', due }),
        })
        undo.push(() => started.close())
      }
      await this.#mailbox.start()
      signal.throwIfAborted()
    } catch (error) {
      await close()
      throw error
    }
    return { intake, close }
  }

  #makeIntake(migrations: Migrations, albums: Albums): Intake {
    const { tenant, lane, gatherMs } = this.#options
    return new Intake({
      api: this.#bot.api,
      me: this.#bot.botInfo,
      migrations,
      albums,
      gathers: gatherMs > 0,
      warn: this.#warn,
      tenant,
      lane,
      post: (whose, updates, where) => this.#post(whose, updates, where),
      arrived: (whose) => {
        if (this.#options.whileAnswering === 'interrupt') this.#running.cancel(whose)
      },
      flooded: (whose, ctx, error) => this.#flood.met(whose, ctx as C, error),
      handleDirectly: (update) => this.#nobodys.handle(update),
    })
  }

  #makeHandler(): LetterHandler<C> {
    const {
      pool,
      clock,
      stream,
      editEveryMs,
      maxFileBytes,
      render,
      onFailure,
      reminders,
      tenant,
      maxAttempts,
    } = this.#options
    const { api, token } = this.#bot
    const answering = new Answering({
      api,
      pool,
      clock,
      record: this.#record,
      running: this.#running,
      warn: this.#warn,
      stream,
      editEveryMs,
      maxFileBytes,
      render,
      onMoved: async (from, to) => this.#migrations?.add(from, to),
    })
    const scrubber = this.#scrubber
    return new LetterHandler({
      bot: this.#bot,
      pool,
      answering,
      running: this.#running,
      record: this.#record,
      scrubber,
      warn: this.#warn,
      tenantIsChat: tenant === undefined,
      downloads:
        maxFileBytes === undefined ? undefined : { api, token, scrubber, clock, maxBytes: maxFileBytes },
      maxAttempts,
      onFailure,
      reminders,
    })
  }

  /** Makes the bot this gateway's. */
  #takeOver(): void {
    const bot = this.#bot
    bot.api.config.use(
      autoRetry({
        maxDelaySeconds: LONGEST_WAIT_S,
        rethrowHttpErrors: true,
        rethrowInternalServerErrors: true,
      }),
      this.#scrubber.transformer,
    )
    bot.start = () =>
      Promise.reject(
        new TelegramError(
          'NOT_STARTED_HERE',
          'This bot is run by telegram(): call start() of what that returned. bot.start() would lose messages.',
        ),
      )
    bot.use(async (ctx, next) => {
      const tenant = this.#handler.tenantOf(ctx.update)
      Object.defineProperty(ctx, 'tenant', { get: () => tenant ?? nobody(), configurable: true })
      await next()
    })
  }

  async #beginPolling(): Promise<void> {
    const phase = this.#phase
    if (phase.name !== 'open') throw closed()
    const { intake } = await phase.opened
    phase.polling ??= poll({
      api: this.#bot.api,
      clock: this.#options.clock,
      warn: this.#warn,
      take: (updates) => intake.take(updates),
      signal: this.#closing.signal,
    })
  }

  async #handleTurn(turn: Turn): Promise<void> {
    if (await this.#broughtForward.wasHandled(turn.id)) return
    this.#flood.over(turn.tenant)
    await this.#handler.handle(turn, fromJson(turn.body))
  }

  async #post(
    tenant: string,
    updates: readonly [Update, ...Update[]],
    lane: 'queue' | 'now',
  ): Promise<{ duplicate: boolean }> {
    const id = updateId(this.#bot.botInfo.id, updates[0])
    const letter: Letter = { kind: 'updates', updates }
    const post = () => this.#mailbox.post(tenant, { id, body: toJson(letter) })
    if (lane === 'queue') return post()
    return this.#broughtForward.begin(id, post, async () => {
      using handling = new EarlyHandling(tenant, id, this.#options.pool, this.#closing.signal)
      await this.#handler.handle(handling, letter)
    })
  }

  async #postLetter(tenant: string, id: string, letter: Letter): Promise<void> {
    await this.#mailbox.post(tenant, { id, body: toJson(letter) })
  }

  #reach<T>(call: (signal: AbortSignal) => Promise<T>, signal: AbortSignal): Promise<T> {
    return untilReached(call, { clock: this.#options.clock, warn: this.#warn, signal })
  }
}

function closed(): TelegramError {
  return new TelegramError('CLOSED', 'This telegram gateway is closed. Make a new bot and gateway to go on.')
}

function nobody(): never {
  throw new TelegramError(
    'NO_TENANT',
    'This update belongs to no tenant, or did not come by the gateway: there is no ctx.tenant.',
  )
}

function startTimedOut(afterMs: number): TenantBoxError<'TIMEOUT'> {
  return new TenantBoxError(
    'TIMEOUT',
    `The telegram gateway did not start within ${afterMs} ms. Is Telegram to be reached?`,
    { operation: 'start', afterMs },
  )
}
