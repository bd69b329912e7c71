import { isDeepStrictEqual } from 'node:util'
import type { Message } from 'grammy/types'
import { badRequest } from '../api-error.js'
import { unixTime } from '../clock.js'
import type { ChatMessage } from '../state/chat-message.js'
import type { ChatRecord } from '../state/chat-record.js'
import type { FormattedText } from '../text/entities.js'
import { formattedText } from '../text/formatted-text.js'
import type { Call } from './call.js'
import { inlineKeyboard } from './keyboard.js'
import { openEnvelope } from './sending.js'

/** In UTF-16 code units, after the markup is parsed. */
const LONGEST_TEXT = 4096

/** In seconds. */
const DELETABLE_FOR = 48 * 60 * 60

export function sendMessage(call: Call): Message {
  const { text, entities } = textOf(call, 'message is too long')
  const { record, envelope } = openEnvelope(call)
  record.drafts.clear()
  return call.world.post(record, { ...envelope, text, ...listed(entities) }).message
}

export function editMessageText(call: Call): Message {
  const { text, entities } = textOf(call, 'MESSAGE_TOO_LONG')
  const { record, message } = ownMessage(call)
  if (message.message.text === undefined) throw badRequest('there is no text in the message to edit')
  const { entities: _, reply_markup: __, ...rest } = message.message
  return change(call, record, message, { ...rest, text, ...listed(entities), ...inlineKeyboard(call.params) })
}

export function editMessageReplyMarkup(call: Call): Message {
  const { record, message } = ownMessage(call)
  const { reply_markup: _, ...rest } = message.message
  return change(call, record, message, { ...rest, ...inlineKeyboard(call.params) })
}

export function deleteMessage({ world, params }: Call): true {
  const record = world.reachableChat(params.chatId())
  const message = record.find(params.messageId())
  if (!message) throw badRequest('message to delete not found')
  const foreign = record.chat.type !== 'private' && !message.fromBot
  const old = message.message.date + DELETABLE_FOR < unixTime(world.clock)
  if (foreign || old) throw badRequest("message can't be deleted")
  message.delete()
  world.activity.tell({ type: 'delete', chat: record.id, message })
  return true
}

/** Streams a partial message: shown for a while, and gone with the next real one. Bots have it in private chats. */
export function sendMessageDraft({ world, params }: Call): true {
  const id = params.integer('draft_id')
  if (!id) throw badRequest('draft_id must be non-zero')
  const names = { text: 'text', entities: 'entities' }
  const { text } = formattedText(params, names, world.mentioned)
  if (text.length > LONGEST_TEXT) throw badRequest('message is too long')
  const record = world.reachableChat(params.chatId())
  if (record.chat.type !== 'private') throw badRequest('the method is available only in private chats')
  record.drafts.set(id, text)
  world.activity.tell({ type: 'draft', chat: record.id, text })
  return true
}

function textOf({ params, world }: Call, tooLong: string): FormattedText {
  if ((params.string('text') ?? '') === '') throw badRequest('message text is empty')
  const formatted = formattedText(params, { text: 'text', entities: 'entities' }, world.mentioned)
  if (formatted.text === '') throw badRequest('text must be non-empty')
  if (formatted.text.length > LONGEST_TEXT) throw badRequest(tooLong)
  return formatted
}

function listed(entities: FormattedText['entities']): Pick<Message, 'entities'> {
  return entities.length === 0 ? {} : { entities: [...entities] }
}

function ownMessage({ world, params, limiter }: Call): { record: ChatRecord; message: ChatMessage } {
  const record = world.reachableChat(params.chatId())
  const message = record.find(params.messageId())
  if (!message) throw badRequest('message to edit not found')
  if (!message.fromBot) throw badRequest("message can't be edited")
  limiter.take(record)
  return { record, message }
}

function change({ world }: Call, record: ChatRecord, message: ChatMessage, changed: Message): Message {
  const { edit_date: _, ...now } = message.message
  const { edit_date: __, ...then } = changed
  if (isDeepStrictEqual(now, then))
    throw badRequest(
      'message is not modified: specified new message content and reply markup are exactly the same as a current content and reply markup of the message',
    )
  world.edit(record, message, changed)
  return message.message
}
