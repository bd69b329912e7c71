import type { BoxState } from '@tenantbox/core'
import type { ChatMessage, TestChat } from '@tenantbox/telegram/testing'
import type { PageUser } from './users.js'

/** Enough to read; the rest is in the server's memory. */
const SHOWN = 200

/** A chat as the page shows it. */
export function viewOf({ name, chat: id }: PageUser, chat: TestChat, box: BoxState) {
  return {
    chat: id,
    name,
    box,
    draft: chat.draft ?? '',
    messages: chat.messages.slice(-SHOWN).map(messageView),
  }
}

function messageView({ id, fromBot, text, entities, buttons, message }: ChatMessage) {
  return {
    id,
    fromBot,
    text,
    entities,
    date: message.date,
    edited: message.edit_date !== undefined,
    buttons: buttons.map((row) =>
      row.map((button) => ({
        text: button.text,
        data: 'callback_data' in button ? button.callback_data : '',
      })),
    ),
    files: filesOf(message),
  }
}

function filesOf({ document, photo, voice }: ChatMessage['message']) {
  const largest = photo?.at(-1)
  return [
    ...(document ? [{ id: document.file_id, name: document.file_name ?? 'file' }] : []),
    ...(largest ? [{ id: largest.file_id, name: 'photo.jpg' }] : []),
    ...(voice ? [{ id: voice.file_id, name: 'voice.ogg' }] : []),
  ]
}
