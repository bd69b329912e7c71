import type { Chat, User } from 'grammy/types'
import { ApiError, badRequest, forbidden } from '../api-error.js'
import type { ChatMessage } from './chat-message.js'

export type AnyChat = Chat.PrivateChat | Chat.GroupChat | Chat.SupergroupChat

/** How a chat stands towards the bot. */
export type Standing =
  | { readonly is: 'open' | 'blocked' | 'deactivated' | 'kicked' | 'deleted' }
  | { readonly is: 'migrated'; readonly to: number }

/** The sign that the bot is doing something: `typing`, `upload_document`. */
export interface ChatActionSign {
  readonly action: string
  readonly thread?: number
  /** Milliseconds since the epoch. */
  readonly at: number
}

/** One chat with all that was said in it. */
export class ChatRecord {
  standing: Standing = { is: 'open' }
  readonly members = new Map<number, User>()
  readonly messages: ChatMessage[] = []
  readonly actions: ChatActionSign[] = []
  /** Partial messages that a bot streams, by their draft id. */
  readonly drafts = new Map<number, string>()
  readonly threads = new Set<number>()

  constructor(readonly chat: AnyChat) {}

  get id(): number {
    return this.chat.id
  }

  find(id: number): ChatMessage | undefined {
    const found = this.messages.find((message) => message.id === id)
    return found?.deleted ? undefined : found
  }

  /** Throws what a bot is told that wants something of a chat that it cannot reach. */
  assertReachable(): void {
    const refusal = this.#refusal()
    if (refusal) throw refusal
  }

  #refusal(): ApiError | undefined {
    const { standing } = this
    switch (standing.is) {
      case 'open':
        return undefined
      case 'blocked':
        return forbidden('bot was blocked by the user')
      case 'deactivated':
        return forbidden('user is deactivated')
      case 'kicked':
        return forbidden(`bot was kicked from the ${this.chat.type} chat`)
      case 'deleted':
        return badRequest('chat not found')
      case 'migrated':
        return new ApiError(400, 'Bad Request: group chat was upgraded to a supergroup chat', {
          migrate_to_chat_id: standing.to,
        })
    }
  }
}
