import type { Clock } from '@tenantbox/core'
import type { Api, InputFile } from 'grammy'
import { Backoff, sleep } from '../common/clock.js'
import { TelegramError } from '../common/errors.js'
import { grammySignal } from '../common/grammy-signal.js'
import type { Formatted } from '../text/formatted.js'
import type { Place } from './place.js'
import { type Refusal, refusalOf } from './refusal.js'

/** How long a call is tried again while Telegram cannot be reached. */
const UNREACHABLE_MS = 2 * 60_000
const FIRST_RETRY_MS = 500
const LONGEST_RETRY_MS = 15_000

export interface ChatOptions {
  readonly api: Api
  readonly tenant: string
  readonly place: Place
  readonly signal: AbortSignal
  readonly clock: Clock
  /** The chat has another id now. */
  readonly onMoved: (from: number, to: number) => Promise<void>
}

/** `final`: tried again while Telegram cannot be reached. `passing`: the next one will do. */
export type Urgency = 'final' | 'passing'

/**
 * One place to send to. Follows a group that became a supergroup, leaves out a topic that was deleted, falls back to
 * text without formatting, and waits for a Telegram that cannot be reached, within bounds.
 *
 * @throws TelegramError `CHAT_GONE`; what else Telegram refuses comes as grammY's error
 */
export class Chat {
  readonly #options: ChatOptions
  #place: Place

  constructor(options: ChatOptions) {
    this.#options = options
    this.#place = options.place
  }

  get place(): Place {
    return this.#place
  }

  /** Resolves with the id of the message. */
  async send(content: Formatted, urgency: Urgency): Promise<number> {
    const message = await this.#formatted(content, urgency, ({ text, entities }) =>
      this.#api.sendMessage(
        this.#place.chat,
        text,
        { ...this.#topic, entities: [...entities] },
        this.#signal,
      ),
    )
    return message.message_id
  }

  /** Resolves with the message's id: another one when it could not be edited, and is sent anew. */
  async edit(message: number, content: Formatted, urgency: Urgency): Promise<number> {
    try {
      await this.#formatted(content, urgency, ({ text, entities }) =>
        this.#api.editMessageText(this.#place.chat, message, text, { entities: [...entities] }, this.#signal),
      )
      return message
    } catch (error) {
      const kind = refusalOf(error)?.kind
      if (kind === 'unchanged') return message
      if (kind !== 'not-editable') throw error
      return this.send(content, urgency)
    }
  }

  /** A preview that Telegram keeps for half a minute; private chats only. */
  async draft(id: number, { text, entities }: Formatted): Promise<void> {
    await this.#api.sendMessageDraft(
      this.#place.chat,
      id,
      text,
      { ...this.#topic, entities: [...entities] },
      this.#signal,
    )
  }

  async delete(message: number): Promise<void> {
    await this.#call('final', () => this.#api.deleteMessage(this.#place.chat, message, this.#signal))
  }

  async sendPhoto(photo: InputFile, caption: Formatted): Promise<void> {
    await this.#call('final', () =>
      this.#api.sendPhoto(this.#place.chat, photo, this.#captioned(caption), this.#signal),
    )
  }

  async sendDocument(document: InputFile, caption: Formatted): Promise<void> {
    await this.#call('final', () =>
      this.#api.sendDocument(this.#place.chat, document, this.#captioned(caption), this.#signal),
    )
  }

  /** Shows that something is being done, for five seconds. */
  async typing(): Promise<void> {
    await this.#call('passing', () =>
      this.#api.sendChatAction(this.#place.chat, 'typing', this.#topic, this.#signal),
    )
  }

  get tenant(): string {
    return this.#options.tenant
  }

  /** Aborts when nothing is to be sent any more. */
  get signal(): AbortSignal {
    return this.#options.signal
  }

  get #api(): Api {
    return this.#options.api
  }

  get #signal() {
    return grammySignal(this.#options.signal)
  }

  get #topic(): { message_thread_id?: number } {
    return this.#place.topic === undefined ? {} : { message_thread_id: this.#place.topic }
  }

  #captioned({ text, entities }: Formatted) {
    return { ...this.#topic, caption: text, caption_entities: [...entities] }
  }

  async #formatted<T>(
    content: Formatted,
    urgency: Urgency,
    send: (content: Formatted) => Promise<T>,
  ): Promise<T> {
    try {
      return await this.#call(urgency, () => send(content))
    } catch (error) {
      if (refusalOf(error)?.kind !== 'formatting' || content.entities.length === 0) throw error
      return this.#call(urgency, () => send({ text: content.text, entities: [] }))
    }
  }

  async #call<T>(urgency: Urgency, work: () => Promise<T>): Promise<T> {
    const { clock, signal } = this.#options
    const backoff = new Backoff(FIRST_RETRY_MS, LONGEST_RETRY_MS)
    const until = clock.monotonic() + UNREACHABLE_MS
    let moves = 0
    for (;;) {
      try {
        return await work()
      } catch (error) {
        signal.throwIfAborted()
        const refusal = refusalOf(error)
        const canWait = urgency === 'final' && clock.monotonic() < until
        if (refusal?.kind === 'unreachable' && canWait) await sleep(clock, backoff.next(), signal)
        else if (refusal?.kind === 'moved' && moves++ === 0) await this.#move(refusal)
        else if (refusal?.kind === 'no-topic' && this.#place.topic !== undefined)
          this.#place = { chat: this.#place.chat }
        else throw refusal?.kind === 'gone' ? chatGone(this.#options.tenant, error) : error
      }
    }
  }

  async #move({ to }: Extract<Refusal, { kind: 'moved' }>): Promise<void> {
    const { chat } = this.#place
    this.#place = { ...this.#place, chat: to }
    await this.#options.onMoved(chat, to)
  }
}

function chatGone(tenant: string, cause: unknown): TelegramError {
  return new TelegramError(
    'CHAT_GONE',
    `The chat of tenant ${JSON.stringify(tenant)} is not there for the bot any more: see the cause. Nothing is sent until somebody writes from it again.`,
    { tenant, cause },
  )
}
