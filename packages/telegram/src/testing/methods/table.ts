import type { Method } from './call.js'
import { getFile, sendMedia, sendMediaGroup } from './media.js'
import {
  deleteMessage,
  editMessageReplyMarkup,
  editMessageText,
  sendMessage,
  sendMessageDraft,
} from './messages.js'
import {
  answerCallbackQuery,
  deleteWebhook,
  getUpdates,
  getWebhookInfo,
  sendChatAction,
  setMessageReaction,
  setMyCommands,
  setWebhook,
} from './others.js'

const METHODS: Readonly<Record<string, Method>> = {
  answerCallbackQuery,
  deleteMessage,
  deleteWebhook,
  editMessageReplyMarkup,
  editMessageText,
  getFile,
  getMe: ({ world }) => world.bot,
  getMyCommands: ({ world }) => world.commands,
  getUpdates,
  getWebhookInfo,
  sendChatAction,
  sendDocument: sendMedia('document'),
  sendMediaGroup,
  sendMessage,
  sendMessageDraft,
  sendPhoto: sendMedia('photo'),
  sendVoice: sendMedia('voice'),
  setMessageReaction,
  setMyCommands,
  setWebhook,
}

const BY_LOWER_CASE = new Map(Object.entries(METHODS).map(([name, method]) => [name.toLowerCase(), method]))

/** Telegram does not mind how a method's name is written. */
export function findMethod(name: string): Method | undefined {
  return BY_LOWER_CASE.get(name.toLowerCase())
}
