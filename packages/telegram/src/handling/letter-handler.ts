import { isTenantBoxError, type MessageInput } from '@tenantbox/core'
import { type Due, isWorkspaceError } from '@tenantbox/workspace'
import { type Bot, BotError, Context } from 'grammy'
import type { Update } from 'grammy/types'
import { isTelegramError, TelegramError } from '../common/errors.js'
import type { TokenScrubber } from '../common/token.js'
import type { Warn } from '../common/warnings.js'
import { type Place, placeOf, placeOfThread } from '../sending/place.js'
import { isAway, refusalOf } from '../sending/refusal.js'
import type { TenantRecord } from '../sending/tenant-record.js'
import { plain } from '../text/formatted.js'
import type { Handling } from './handling.js'
import type { Letter, Say } from './letter.js'
import type { Outage } from './outage.js'
import type { TenantContext, TenantFlavor } from './tenant-context.js'
import { TurnTenant, type TurnTenantHost } from './turn-tenant.js'

export interface LetterHandlerHost<C extends Context & TenantFlavor> extends TurnTenantHost {
  readonly bot: Bot<C>
  readonly record: TenantRecord
  readonly scrubber: TokenScrubber
  readonly warn: Warn
  readonly outage: Outage
  readonly maxAttempts: number
  readonly onFailure: (error: unknown, ctx: C) => string | undefined
  readonly reminders: false | ((due: Due) => MessageInput)
}

/**
 * Handles what comes out of the mailboxes. What fails and may succeed later is thrown, so that it is tried again; what
 * cannot succeed ends here, and the user is told.
 */
export class LetterHandler<C extends Context & TenantFlavor> {
  readonly #host: LetterHandlerHost<C>
  /** Whose update it is that the bot is given: its middleware looks here. */
  readonly #tenants = new WeakMap<Update, TenantContext>()

  constructor(host: LetterHandlerHost<C>) {
    this.#host = host
  }

  /** Undefined for an update that was not given to the bot by this handler, or that has no tenant. */
  tenantOf(update: Update): TenantContext | undefined {
    return this.#tenants.get(update)
  }

  /** @throws what may succeed at another attempt */
  async handle(handling: Handling, letter: Letter): Promise<void> {
    let ctx: C | undefined
    try {
      await this.#handle(handling, letter)
    } catch (caught) {
      // A BotError holds the context, and that the token.
      if (caught instanceof BotError) ctx = caught.ctx as C
      const error: unknown = this.#host.scrubber.error(caught instanceof BotError ? caught.error : caught)
      if (handling.signal.aborted) throw error
      await this.#failed(handling, error, ctx)
    }
    this.#host.outage.over(handling)
  }

  #handle(handling: Handling, letter: Letter): Promise<void> {
    switch (letter.kind) {
      case 'updates':
        return this.#handleUpdates(handling, letter.updates)
      case 'due':
        return this.#remind(handling, letter.due)
      case 'say':
        return this.#say(handling, letter.say)
    }
  }

  async #handleUpdates(handling: Handling, updates: readonly [Update, ...Update[]]): Promise<void> {
    const { bot, record } = this.#host
    const { tenant } = handling
    const contextOf = (update: Update): Context => new Context(update, bot.api, bot.botInfo)
    const [first, ...others] = updates
    const parts = [contextOf(first), ...others.map(contextOf)] as const
    const here = placeOf(parts[0])
    if (here) record.notePlace(tenant, here)
    const place = here ?? record.places(tenant)[0]
    const turn = new TurnTenant(handling, parts, place, this.#host)
    this.#tenants.set(first, turn)
    await finishing(turn, () => bot.handleUpdate(first))
  }

  async #remind(handling: Handling, due: Due): Promise<void> {
    const { reminders, answering } = this.#host
    if (!reminders) return
    const input = reminders(due)
    const { thread } = due.schedule
    const message = {
      id: handling.id,
      cause: 'schedule' as const,
      ...(thread === undefined ? {} : { thread }),
      ...(typeof input === 'string' ? { text: input } : input),
      attempt: handling.attempt,
    }
    const outgoing = answering.outgoing(handling, this.#placeOfThread(handling.tenant, message.thread))
    await finishing(outgoing, () => answering.answer(handling, outgoing, message.id, async () => message))
  }

  async #say(handling: Handling, say: Say): Promise<void> {
    const { answering } = this.#host
    const outgoing = answering.outgoing(handling, this.#placeOfThread(handling.tenant, say.thread))
    await finishing(outgoing, () => answering.say(handling, outgoing, say))
  }

  #placeOfThread(tenant: string, thread: string | undefined): Place {
    const place = placeOfThread(thread, this.#host.record.places(tenant), this.#host.tenantIsChat)
    if (!place) throw noChat(tenant)
    return place
  }

  async #failed(handling: Handling, error: unknown, ctx: C | undefined): Promise<void> {
    const { warn, outage, maxAttempts } = this.#host
    const { tenant } = handling
    if (isTelegramError(error, 'CHAT_GONE'))
      return warn('CHAT_GONE', error.message, { tenant, cause: error.cause })
    const away = isAway(error) ? outage.met(handling, error) : undefined
    if (away) throw away
    // Of the app's own: as it does not count, it is never the last.
    if (isTenantBoxError(error, 'SERVICE_UNAVAILABLE')) throw error
    const permanent = isPermanent(error)
    if (!permanent && handling.attempt < maxAttempts) throw error
    if (ctx) await this.#apologize(handling, error, ctx)
    outage.over(handling)
    if (!permanent) throw error
    if (!ctx) {
      const what = `A message for tenant ${JSON.stringify(tenant)} was dropped: see the cause.`
      warn('NOT_DELIVERED', what, { tenant, cause: error })
    }
  }

  async #apologize(handling: Handling, error: unknown, ctx: C): Promise<void> {
    const { onFailure, answering, outage, warn } = this.#host
    const { tenant } = handling
    try {
      const text = onFailure(error, ctx)
      const place = placeOf(ctx)
      if (text && place) await answering.outgoing(handling, place).apologize(plain(text))
    } catch (cause) {
      // A chat that nothing is taken for is not waited for twice.
      const away = isAway(cause) && !isAway(error) ? outage.met(handling, cause) : undefined
      if (away) throw away
      const what = `The user of tenant ${JSON.stringify(tenant)} could not be told of a failure: see the cause.`
      warn('NOT_DELIVERED', what, { tenant, cause })
    }
  }
}

/** Does what a turn says, and sees to what its next attempt must know of it. */
async function finishing(
  sending: { finish(): Promise<void>; interrupted(): void },
  work: () => Promise<void>,
): Promise<void> {
  try {
    await work()
    await sending.finish()
  } catch (error) {
    sending.interrupted()
    throw error
  }
}

export function noChat(tenant: string): TelegramError {
  return new TelegramError(
    'NO_CHAT',
    `No chat of tenant ${JSON.stringify(tenant)} is known: somebody must write to the bot first.`,
    { tenant },
  )
}

/** Whether there is no use in trying again. */
function isPermanent(error: unknown): boolean {
  if (isTelegramError(error)) return !error.retryable
  if (isTenantBoxError(error, 'TOO_LARGE', 'OVER_QUOTA', 'INVALID_OPTION', 'INVALID_TENANT')) return true
  if (isWorkspaceError(error, ...LASTING)) return true
  const refusal = refusalOf(error)?.kind
  return refusal === 'refused' || refusal === 'unchanged'
}

/** What stays so until somebody changes the tenant's files. */
const LASTING = [
  'NOT_A_FILE',
  'NOT_A_DIRECTORY',
  'INVALID_PATH',
  'INVALID_FILE',
  'INVALID_SCHEDULE',
  'ACCESS_DENIED',
  'TOO_LARGE',
  'NO_SPACE',
] as const
