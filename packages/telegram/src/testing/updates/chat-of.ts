import type { Update } from 'grammy/types'

/** The chat that an update is about. */
export function chatOf(update: Update): number | undefined {
  const { message, edited_message, callback_query, my_chat_member, chat_member, message_reaction } = update
  const about = message ?? edited_message ?? callback_query?.message ?? my_chat_member ?? chat_member
  return (about ?? message_reaction)?.chat.id
}
