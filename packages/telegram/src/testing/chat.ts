import type { User } from 'grammy/types'
import type { UntilOptions } from './activity.js'
import { describeCalls } from './calls.js'
import type { ChatMessage } from './state/chat-message.js'
import type { ChatActionSign, ChatRecord } from './state/chat-record.js'
import type { World } from './state/world.js'
import { fromUser } from './updates/kinds.js'
import { ChatUser } from './user.js'

/** A chat with the bot, from the other side: what its people see and do. */
export class TestChat {
  readonly #world: World
  readonly #record: ChatRecord

  /** @internal */
  constructor(world: World, record: ChatRecord) {
    this.#world = world
    this.#record = record
  }

  get id(): number {
    return this.#record.id
  }

  /** As the chat looks now: edits are made and deleted messages are gone. Earlier versions are in `history`. */
  get messages(): readonly ChatMessage[] {
    return this.#record.messages.filter(({ deleted }) => !deleted)
  }

  /** The messages of the bot among `messages`. */
  get answers(): readonly ChatMessage[] {
    return this.messages.filter(({ fromBot }) => fromBot)
  }

  get deletedMessages(): readonly ChatMessage[] {
    return this.#record.messages.filter(({ deleted }) => deleted)
  }

  /** What the bot showed that it was doing: `typing` and the like. */
  get actions(): readonly ChatActionSign[] {
    return this.#record.actions
  }

  /** The message that the bot is streaming, as far as it has come. */
  get draft(): string | undefined {
    return [...this.#record.drafts.values()].at(-1)
  }

  /**
   * Someone in this chat. In a private chat there is one person, whose id is the chat's.
   *
   * @param user The user's id (in a group) and names. @default whoever spoke first
   */
  user(user: Partial<Omit<User, 'is_bot'>> = {}): ChatUser {
    const id = user.id ?? (this.id > 0 ? this.id : (this.#record.members.keys().next().value ?? 1))
    const known = this.#world.users.get(id)
    const made: User = { first_name: `User ${id}`, language_code: 'en', ...known, ...user, id, is_bot: false }
    this.#world.users.set(id, made)
    this.#record.members.set(id, made)
    if (this.#record.chat.type === 'private') {
      this.#record.chat.first_name = made.first_name
      if (made.username !== undefined) this.#record.chat.username = made.username
    }
    return new ChatUser(this.#world, this.#record, made)
  }

  /** Opens a topic. The chat must be a forum. */
  topic(): number {
    const { chat, threads } = this.#record
    if (chat.type !== 'supergroup' || !chat.is_forum)
      throw new Error(`Chat ${this.id} is no forum. Make it with server.chat(id, { forum: true }).`)
    const { id } = this.#world.post(this.#record, {
      forum_topic_created: { name: `Topic ${threads.size + 1}`, icon_color: 7322096 },
    })
    threads.add(id)
    return id
  }

  /** The group becomes a supergroup with a new id. Calls for the old id fail and name the new one. */
  migrate(): TestChat {
    const { chat, members } = this.#record
    if (chat.type !== 'group') throw new Error(`Chat ${this.id} is no group: only groups can be migrated.`)
    const id = Number(`-100${String(-chat.id).padStart(10, '0')}`)
    const record = this.#world.addChat({ id, type: 'supergroup', title: chat.title })
    for (const [member, user] of members) record.members.set(member, user)
    const from = [...members.values()][0] ?? this.#world.bot
    this.#update(this.#world.post(this.#record, { from, migrate_to_chat_id: id }))
    this.#record.standing = { is: 'migrated', to: id }
    const next = new TestChat(this.#world, record)
    next.#update(this.#world.post(record, { from, migrate_from_chat_id: chat.id }))
    return next
  }

  /** From now on Telegram does not know the chat. */
  delete(): void {
    this.#record.standing = { is: 'deleted' }
    this.#world.activity.tell({ type: 'chat', chat: this.id })
  }

  /**
   * Waits for something to be true of this chat. It is looked at after everything that happens, without polling.
   *
   * @returns what `look` has found
   */
  until<T>(look: (chat: this) => T | undefined | null | false, options: UntilOptions = {}): Promise<T> {
    return this.#world.activity.until(
      () => look(this),
      options,
      () => `${this.#describe()} ${describeCalls(this.#world.calls.all)}`,
    )
  }

  /** Waits for the bot's next message with this text: the whole of it, or what a pattern finds. */
  answer(text: string | RegExp, options: UntilOptions = {}): Promise<ChatMessage> {
    const after = this.#record.messages.findLast(({ fromBot }) => !fromBot)?.id ?? 0
    const fits = (message: ChatMessage) =>
      message.id > after && (typeof text === 'string' ? message.text === text : text.test(message.text))
    return this.until((chat) => chat.answers.find(fits), { what: `The answer ${text}`, ...options })
  }

  #update(posted: ChatMessage): void {
    this.#world.updates.add({ message: fromUser(posted.message) })
  }

  #describe(): string {
    const texts = this.messages.slice(-5).map((message) => JSON.stringify(message.text.slice(0, 80)))
    return `Chat ${this.id} has ${texts.length === 0 ? 'no messages' : `as its last messages ${texts.join(', ')}`}.`
  }
}
