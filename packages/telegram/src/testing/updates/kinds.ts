import type { Message, Update } from 'grammy/types'

type FromUser = NonNullable<Update['message']>
type Edited = NonNullable<Update['edited_message']>

/** What an update says of a message that someone has sent: a sender, and no channel. */
export function fromUser(message: Message): FromUser {
  const { chat, from } = message
  if (chat.type === 'channel' || !from) throw new TypeError('The message has no sender.')
  return { ...message, chat, from }
}

export function editedByUser(message: Message): Edited {
  return { ...fromUser(message), edit_date: message.edit_date ?? message.date }
}
