import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { type CallOptions, TenantBoxError } from '@tenantbox/core'
import type { Bot, Context } from 'grammy'
import type { Update } from 'grammy/types'
import { orAbort } from './common/clock.js'
import { TelegramError } from './common/errors.js'
import { grammySignal } from './common/grammy-signal.js'
import { toMilliseconds } from './common/option-values.js'
import { TokenScrubber } from './common/token.js'
import { type Warn, warner } from './common/warnings.js'
import { type Say, sayId, sayOf } from './handling/letter.js'
import { noChat } from './handling/letter-handler.js'
import { Outage } from './handling/outage.js'
import type { TenantFlavor } from './handling/tenant-context.js'
import { Letters, type MailboxBounds } from './letters.js'
import { type Opened, open } from './opening.js'
import type { ResolvedTelegramOptions } from './options.js'
import { untilReached } from './receiving/first-contact.js'
import { Migrations } from './receiving/migrations.js'
import { NobodysUpdates } from './receiving/nobodys-updates.js'
import { poll } from './receiving/poller.js'
import { createWebhook, type Webhook } from './receiving/webhook.js'
import { TenantRecord } from './sending/tenant-record.js'
import { takeOver } from './take-over.js'

type Phase =
  | { readonly name: 'new' }
  | { readonly name: 'open'; readonly opened: Promise<Opened>; polling?: Promise<void> }
  | { readonly name: 'closed'; readonly done: Promise<void> }

export class Gateway<C extends Context & TenantFlavor> {
  readonly #bot: Bot<C>
  readonly #options: ResolvedTelegramOptions<C>
  readonly #warn: Warn
  readonly #directory: string
  readonly #record: TenantRecord
  readonly #migrations: Migrations
  readonly #nobodys: NobodysUpdates<C>
  readonly #letters: Letters<C>
  readonly #closing = new AbortController()
  #phase: Phase = { name: 'new' }

  /** @param bounds @default the mailbox's */
  constructor(bot: Bot<C>, options: ResolvedTelegramOptions<C>, bounds: MailboxBounds = {}) {
    const { pool, clock, onWarning } = options
    const scrubber = new TokenScrubber(bot.token)
    const warn = warner(onWarning, clock.now, (error) => scrubber.error(error))
    const closing = this.#closing.signal
    this.#bot = bot
    this.#options = options
    this.#warn = warn
    this.#directory = join(pool.dataDir, '.tenantbox', 'telegram')
    const record = new TenantRecord(pool.dataDir)
    const migrations = new Migrations(this.#directory)
    this.#record = record
    this.#migrations = migrations
    this.#nobodys = new NobodysUpdates(bot, warn)
    const outage = new Outage(clock, warn)
    this.#letters = new Letters({ bot, options, scrubber, warn, outage, record, migrations, closing, bounds })
    takeOver(bot, { clock, outage, scrubber }, (update) => this.#letters.tenantOf(update))
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
          { cause },
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
    await this.#letters.post(tenant, sayId(id), { kind: 'say', say: sayOf(say) })
  }

  async retryFailed(tenant?: string | undefined): Promise<number> {
    return this.#letters.retryFailed(tenant)
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
    await this.#letters.close()
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
    const { signal } = this.#closing
    const bot = this.#bot
    await this.#options.pool.start({ signal })
    if (!bot.isInited())
      bot.botInfo = await this.#reach((within) => bot.api.getMe(grammySignal(within)), signal)
    return open(
      {
        ...{ bot, options: this.#options, warn: this.#warn, migrations: this.#migrations },
        ...{ letters: this.#letters, nobodys: this.#nobodys, directory: this.#directory },
      },
      signal,
    )
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

  #reach<T>(call: (signal: AbortSignal) => Promise<T>, signal: AbortSignal): Promise<T> {
    return untilReached(call, { clock: this.#options.clock, warn: this.#warn, signal })
  }
}

function closed(): TelegramError {
  return new TelegramError('CLOSED', 'This telegram gateway is closed. Make a new bot and gateway to go on.')
}

function startTimedOut(afterMs: number): TenantBoxError<'TIMEOUT'> {
  return new TenantBoxError(
    'TIMEOUT',
    `The telegram gateway did not start within ${afterMs} ms. Is Telegram to be reached?`,
    { operation: 'start', afterMs },
  )
}
