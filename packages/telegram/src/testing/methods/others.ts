import type { BotCommand, ReactionType, WebhookInfo } from 'grammy/types'
import { badRequest, conflict } from '../api-error.js'
import { isRecord } from '../json.js'
import type { Call } from './call.js'
import { threadOf } from './sending.js'

const ACTIONS = [
  'typing',
  'upload_photo',
  'record_video',
  'upload_video',
  'record_voice',
  'upload_voice',
  'upload_document',
  'choose_sticker',
  'find_location',
  'record_video_note',
  'upload_video_note',
]

export function sendChatAction({ world, params }: Call): true {
  const action = params.string('action') ?? ''
  if (!ACTIONS.includes(action)) throw badRequest('wrong parameter action in request')
  const record = world.reachableChat(params.chatId())
  const { message_thread_id: thread } = threadOf(record, params.integer('message_thread_id'))
  record.actions.push({ action, at: world.clock.now(), ...(thread !== undefined && { thread }) })
  world.activity.tell({ type: 'action', chat: record.id, action })
  return true
}

export function setMessageReaction({ world, params }: Call): true {
  const record = world.reachableChat(params.chatId())
  const message = record.find(params.messageId())
  if (!message) throw badRequest('message to react not found')
  const reactions = (params.array('reaction', 'reaction') ?? []).map(readReaction)
  if (reactions.length > 1) throw badRequest('REACTIONS_TOO_MANY')
  message.react(reactions)
  world.activity.tell({ type: 'reaction', chat: record.id, message })
  return true
}

function readReaction(raw: unknown): ReactionType {
  if (!isRecord(raw) || typeof raw.type !== 'string') throw badRequest("can't parse reaction type")
  if (raw.type === 'custom_emoji')
    return { type: 'custom_emoji', custom_emoji_id: String(raw.custom_emoji_id) }
  const emoji = REACTIONS.find((known) => known === raw.emoji)
  if (raw.type !== 'emoji' || !emoji) throw badRequest('REACTION_INVALID')
  return { type: 'emoji', emoji }
}

/** Some of those that Telegram allows. */
const REACTIONS = [
  '👍',
  '👎',
  '❤',
  '🔥',
  '🎉',
  '👀',
  '👌',
  '🙏',
  '😁',
  '🤔',
  '😢',
  '💯',
  '✍',
  '🫡',
  '👨‍💻',
] as const

export function answerCallbackQuery({ world, params }: Call): true {
  const pressed = world.pressed.get(params.string('callback_query_id') ?? '')
  if (!pressed || pressed.answer)
    throw badRequest('query is too old and response timeout expired or query ID is invalid')
  const text = params.string('text')
  if ((text?.length ?? 0) > 200) throw badRequest('MESSAGE_TOO_LONG')
  pressed.answer = { text: text ?? '', alert: params.boolean('show_alert') }
  return true
}

export function setMyCommands({ world, params }: Call): true {
  const commands = params.array('commands', 'commands') ?? []
  world.commands = commands.map((raw): BotCommand => {
    if (!isRecord(raw)) throw badRequest("can't parse BotCommand: expected an Object")
    const command = String(raw.command ?? '').replace(/^\//, '')
    const description = String(raw.description ?? '')
    if (!/^[a-z0-9_]{1,32}$/.test(command)) throw badRequest('BOT_COMMAND_INVALID')
    if (description.length < 1 || description.length > 256)
      throw badRequest('BOT_COMMAND_DESCRIPTION_INVALID')
    return { command, description }
  })
  return true
}

export function getUpdates({ params, polling, webhook, gone }: Call): unknown {
  if (webhook.active)
    throw conflict(
      "can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first",
    )
  return polling.poll(params, gone)
}

export function setWebhook(call: Call): true {
  const url = call.params.string('url') ?? ''
  if (url === '') return deleteWebhook(call)
  const { params, polling, webhook, world } = call
  webhook.set({
    url,
    secretToken: params.string('secret_token') ?? '',
    maxConnections: params.integer('max_connections') ?? 40,
  })
  polling.terminate('terminated by setWebhook request')
  const allowed = params.array('allowed_updates', 'allowed_updates')
  if (allowed) world.updates.allow(allowed.map(String))
  if (params.boolean('drop_pending_updates')) world.updates.clear()
  return true
}

export function deleteWebhook({ params, webhook, world }: Call): true {
  webhook.delete()
  if (params.boolean('drop_pending_updates')) world.updates.clear()
  return true
}

export function getWebhookInfo({ webhook }: Call): WebhookInfo {
  return webhook.info()
}
