import type { InlineKeyboardButton, Message, MessageEntity, ReactionType } from 'grammy/types'

/** A message as the chat shows it now, with what it looked like before. */
export class ChatMessage {
  #message: Message
  readonly #history: Message[] = []
  #deleted = false
  #reactions: readonly ReactionType[] = []

  constructor(message: Message) {
    this.#message = message
  }

  /** As the Bot API describes it. */
  get message(): Message {
    return this.#message
  }

  get id(): number {
    return this.#message.message_id
  }

  get fromBot(): boolean {
    return this.#message.from?.is_bot ?? false
  }

  /** The text, or the caption of a file. */
  get text(): string {
    return this.#message.text ?? this.#message.caption ?? ''
  }

  get entities(): readonly MessageEntity[] {
    return this.#message.entities ?? this.#message.caption_entities ?? []
  }

  /** The inline keyboard, row by row. */
  get buttons(): readonly (readonly InlineKeyboardButton[])[] {
    return this.#message.reply_markup?.inline_keyboard ?? []
  }

  /** Earlier versions, the oldest first. */
  get history(): readonly Message[] {
    return this.#history
  }

  get deleted(): boolean {
    return this.#deleted
  }

  /** The bot's reactions. */
  get reactions(): readonly ReactionType[] {
    return this.#reactions
  }

  /** @internal */
  replace(message: Message): void {
    this.#history.push(this.#message)
    this.#message = message
  }

  /** @internal */
  delete(): void {
    this.#deleted = true
  }

  /** @internal */
  react(reactions: readonly ReactionType[]): void {
    this.#reactions = reactions
  }
}
