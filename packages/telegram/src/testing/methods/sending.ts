import type { Message } from 'grammy/types'
import { badRequest } from '../api-error.js'
import { isRecord } from '../json.js'
import type { ChatMessage } from '../state/chat-message.js'
import type { ChatRecord } from '../state/chat-record.js'
import type { Call } from './call.js'
import { inlineKeyboard } from './keyboard.js'

type Envelope = Omit<Message, 'message_id' | 'date' | 'chat'>

/** What all methods that send have in common: the chat must be reachable, the thread and the message replied to must exist. */
export function openEnvelope({ world, params, limiter }: Call): { record: ChatRecord; envelope: Envelope } {
  const record = world.reachableChat(params.chatId())
  const envelope = {
    from: world.bot,
    ...threadOf(record, params.integer('message_thread_id')),
    ...replyTo(record, params.values),
    ...inlineKeyboard(params),
  }
  limiter.take(record)
  return { record, envelope }
}

export function threadOf(
  { chat, threads }: ChatRecord,
  thread: number | undefined,
): Pick<Message, 'message_thread_id' | 'is_topic_message'> {
  if (thread === undefined) return {}
  if (chat.type !== 'supergroup' || !chat.is_forum || !threads.has(thread))
    throw badRequest('message thread not found')
  return { message_thread_id: thread, is_topic_message: true }
}

function replyTo(record: ChatRecord, values: Readonly<Record<string, unknown>>): Partial<Envelope> {
  const reply = isRecord(values.reply_parameters) ? values.reply_parameters : legacyReply(values)
  if (reply.message_id === undefined) return {}
  const found = record.find(Number(reply.message_id))
  if (found) return { reply_to_message: asReply(found) }
  if (reply.allow_sending_without_reply === true) return {}
  throw badRequest('message to be replied not found')
}

function legacyReply(values: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { reply_to_message_id: message_id, allow_sending_without_reply } = values
  return { message_id, allow_sending_without_reply }
}

/** A message inside another one: without what it was itself a reply to. */
export function asReply({ message }: ChatMessage): NonNullable<Message['reply_to_message']> {
  const { reply_to_message: _, ...rest } = message
  // The type wants the key to be there, undefined, which exactOptionalPropertyTypes lets nobody write.
  return rest as NonNullable<Message['reply_to_message']>
}
