import type { Clock } from '@tenantbox/core'
import type { BotCommand, Message, User, UserFromGetMe } from 'grammy/types'
import { Activity } from '../activity.js'
import { badRequest } from '../api-error.js'
import type { ApiCall } from '../calls.js'
import { unixTime } from '../clock.js'
import { Recent } from '../recent.js'
import type { WebhookDelivery } from '../updates/delivery.js'
import type { UpdateQueue } from '../updates/queue.js'
import { ChatMessage } from './chat-message.js'
import { type AnyChat, ChatRecord } from './chat-record.js'
import { FileStore } from './files.js'

/** A press on an inline button, and what the bot made of it. */
export interface PressedButton {
  readonly id: string
  readonly data: string
  /** Undefined until the bot calls `answerCallbackQuery`. */
  answer?: { readonly text: string; readonly alert: boolean }
}

/** Everything that Telegram's servers know. */
export class World {
  readonly chats = new Map<number, ChatRecord>()
  readonly users = new Map<number, User>()
  readonly files = new FileStore()
  readonly activity = new Activity()
  readonly calls = new Recent<ApiCall>()
  readonly deliveries = new Recent<WebhookDelivery>()
  /** Callback queries by their id. */
  readonly pressed = new Map<string, PressedButton>()
  commands: readonly BotCommand[] = []
  readonly mentioned = (id: number): User | undefined => this.users.get(id)
  #lastMessage = 0
  #lastId = 0

  constructor(
    readonly bot: UserFromGetMe,
    readonly clock: Clock,
    readonly updates: UpdateQueue,
  ) {}

  /** For whatever needs an id that never comes twice: albums, callback queries. */
  nextId(): string {
    this.#lastId++
    return String(this.#lastId)
  }

  addChat(chat: AnyChat): ChatRecord {
    const record = new ChatRecord(chat)
    this.chats.set(chat.id, record)
    return record
  }

  /** The chat that a call of the bot is about. */
  reachableChat(id: number): ChatRecord {
    const record = this.chats.get(id)
    if (!record) throw badRequest('chat not found')
    record.assertReachable()
    return record
  }

  /** Puts a message into a chat. Its id, date and chat are added. */
  post(record: ChatRecord, content: Omit<Message, 'message_id' | 'date' | 'chat'>): ChatMessage {
    const message = new ChatMessage({
      message_id: this.#nextMessageId(record),
      date: unixTime(this.clock),
      chat: record.chat,
      ...content,
    })
    record.messages.push(message)
    this.activity.tell({ type: 'message', chat: record.id, message })
    return message
  }

  edit(record: ChatRecord, message: ChatMessage, changed: Message): void {
    message.replace({ ...changed, edit_date: unixTime(this.clock) })
    this.activity.tell({ type: 'edit', chat: record.id, message })
  }

  called(call: ApiCall): void {
    this.calls.add(call)
    this.activity.tell({ type: 'call', call })
  }

  delivered(delivery: WebhookDelivery): void {
    this.deliveries.add(delivery)
    this.activity.tell({ type: 'delivery', delivery })
  }

  /** Supergroups count their own messages, all other chats of a bot share one count. */
  #nextMessageId(record: ChatRecord): number {
    if (record.chat.type === 'supergroup') return (record.messages.at(-1)?.id ?? 0) + 1
    this.#lastMessage++
    return this.#lastMessage
  }
}
