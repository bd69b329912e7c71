import type { InlineKeyboardButton, Message, MessageEntity, Update, User } from 'grammy/types'
import { unixTime } from './clock.js'
import { asReply, threadOf } from './methods/sending.js'
import type { ChatMessage } from './state/chat-message.js'
import type { ChatRecord, Standing } from './state/chat-record.js'
import type { FileContent } from './state/files.js'
import { addMedia, type MediaKind } from './state/media.js'
import type { PressedButton, World } from './state/world.js'
import { withDetected } from './text/formatted-text.js'
import { editedByUser, fromUser } from './updates/kinds.js'

export interface SayOptions {
  /** The topic, in a forum. */
  readonly thread?: number
  /** The id of the message that this one answers. */
  readonly replyTo?: number
}

export interface SayTextOptions extends SayOptions {
  /** Formatting; commands, mentions and addresses are found without. */
  readonly entities?: readonly MessageEntity[]
}

export interface SendFileOptions extends SayOptions {
  readonly caption?: string
}

export type AlbumItem = FileContent & { readonly kind: 'photo' | 'document'; readonly caption?: string }

/** Someone who talks to the bot in a chat. */
export class ChatUser {
  readonly #world: World
  readonly #record: ChatRecord
  /** As the bot sees them. */
  readonly user: User

  /** @internal */
  constructor(world: World, record: ChatRecord, user: User) {
    this.#world = world
    this.#record = record
    this.user = user
  }

  get id(): number {
    return this.user.id
  }

  /** @returns the message, and the update that the bot gets */
  say(text: string, options: SayTextOptions = {}): Sent {
    const { entities } = withDetected({ text, entities: options.entities ?? [] })
    return this.#send({ text, ...(entities.length > 0 && { entities: [...entities] }) }, options)
  }

  sendDocument(file: FileContent, options: SendFileOptions = {}): Sent {
    return this.#sendFile('document', file, options)
  }

  sendPhoto(file: FileContent, options: SendFileOptions = {}): Sent {
    return this.#sendFile('photo', file, options)
  }

  sendVoice(file: FileContent, options: SendFileOptions = {}): Sent {
    return this.#sendFile('voice', file, options)
  }

  /** Several photos or documents at once: a message each, with the same `media_group_id`. */
  sendAlbum(items: readonly AlbumItem[], options: SayOptions = {}): Sent[] {
    const media_group_id = this.#world.nextId()
    return items.map(({ kind, caption, ...file }) =>
      this.#send({ ...this.#media(kind, file), ...captioned(caption), media_group_id }, options),
    )
  }

  /** Changes the text, or the caption of a file. */
  edit(id: number, text: string): Sent {
    const message = this.#find(id)
    const { entities } = withDetected({ text, entities: [] })
    const { entities: _, caption_entities: __, ...rest } = message.message
    const changed: Message =
      message.message.text === undefined
        ? { ...rest, ...captioned(text) }
        : { ...rest, text, ...(entities.length > 0 && { entities: [...entities] }) }
    this.#world.edit(this.#record, message, changed)
    return this.#sent(message, this.#world.updates.add({ edited_message: editedByUser(message.message) }))
  }

  /** Takes a message of one's own back. Telegram tells the bot nothing. */
  delete(id: number): void {
    const message = this.#find(id)
    message.delete()
    this.#world.activity.tell({ type: 'delete', chat: this.#record.id, message })
  }

  /**
   * Presses an inline button.
   *
   * @param button Its text or its data.
   * @param messageId The message it is on. @default the newest one that has it
   * @returns the press; `answer` is there when the bot has answered it
   */
  press(button: string, messageId?: number): PressedButton {
    const found = this.#record.messages
      .filter((message) => !message.deleted && (messageId === undefined || message.id === messageId))
      .flatMap((message) =>
        message.buttons.flat().map((one) => ({ message, data: dataOf(one), text: one.text })),
      )
      .findLast(({ data, text }) => data !== undefined && (text === button || data === button))
    if (found?.data === undefined)
      throw new Error(`There is no button ${JSON.stringify(button)} in chat ${this.#record.id}.`)
    const pressed: PressedButton = { id: this.#world.nextId(), data: found.data }
    this.#world.pressed.set(pressed.id, pressed)
    this.#world.updates.add({
      callback_query: {
        id: pressed.id,
        from: this.user,
        message: found.message.message,
        chat_instance: String(this.#record.id),
        data: found.data,
      },
    })
    return pressed
  }

  /** Blocks the bot, which is told so; whatever it sends from now on fails with 403. */
  block(): void {
    this.#stand({ is: 'blocked' }, 'member', 'kicked')
  }

  unblock(): void {
    this.#stand({ is: 'open' }, 'kicked', 'member')
  }

  /** Throws the bot out of the group. */
  kickBot(): void {
    this.#stand({ is: 'kicked' }, 'member', 'kicked')
  }

  /** Deletes the account. The bot is told nothing. */
  deactivate(): void {
    this.#record.standing = { is: 'deactivated' }
    this.#world.activity.tell({ type: 'chat', chat: this.#record.id })
  }

  #sendFile(kind: MediaKind, file: FileContent, options: SendFileOptions): Sent {
    return this.#send({ ...this.#media(kind, file), ...captioned(options.caption) }, options)
  }

  #media(kind: MediaKind, file: FileContent) {
    return addMedia(this.#world.files, kind, file)
  }

  #send(content: Partial<Message>, { thread, replyTo }: SayOptions): Sent {
    const message = this.#world.post(this.#record, {
      from: this.user,
      ...threadOf(this.#record, thread),
      ...(replyTo !== undefined && { reply_to_message: asReply(this.#find(replyTo)) }),
      ...content,
    })
    return this.#sent(message, this.#world.updates.add({ message: fromUser(message.message) }))
  }

  #sent(message: ChatMessage, update: Update | undefined): Sent {
    return { message, update }
  }

  #find(id: number): ChatMessage {
    const message = this.#record.find(id)
    if (!message) throw new Error(`There is no message ${id} in chat ${this.#record.id}.`)
    return message
  }

  #stand(standing: Standing, before: 'member' | 'kicked', after: 'member' | 'kicked'): void {
    this.#record.standing = standing
    const member = (status: 'member' | 'kicked') =>
      status === 'member'
        ? ({ status, user: this.#world.bot } as const)
        : ({ status, user: this.#world.bot, until_date: 0 } as const)
    this.#world.updates.add({
      my_chat_member: {
        chat: this.#record.chat,
        from: this.user,
        date: unixTime(this.#world.clock),
        old_chat_member: member(before),
        new_chat_member: member(after),
      },
    })
    this.#world.activity.tell({ type: 'chat', chat: this.#record.id })
  }
}

/** What someone has said. */
export interface Sent {
  readonly message: ChatMessage
  /** Undefined when the bot does not want updates of this kind. */
  readonly update: Update | undefined
}

function dataOf(button: InlineKeyboardButton): string | undefined {
  return 'callback_data' in button ? button.callback_data : undefined
}

function captioned(caption: string | undefined): Pick<Message, 'caption' | 'caption_entities'> {
  if (!caption) return {}
  const { entities } = withDetected({ text: caption, entities: [] })
  return { caption, ...(entities.length > 0 && { caption_entities: [...entities] }) }
}
