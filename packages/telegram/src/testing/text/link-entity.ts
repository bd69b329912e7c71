import type { MessageEntity } from 'grammy/types'
import type { MentionedUsers } from './entities.js'
import { checkedLink, linkedUser } from './links.js'

/** The entity of a link: a mention of a user that Telegram knows, a link, or nothing for a bad one. */
export function linkEntity(
  place: { offset: number; length: number },
  target: string,
  users: MentionedUsers,
): MessageEntity[] {
  const id = linkedUser(target)
  if (id !== undefined) {
    const user = users(id)
    return user ? [{ type: 'text_mention', ...place, user }] : []
  }
  const url = checkedLink(target)
  return url === undefined ? [] : [{ type: 'text_link', ...place, url }]
}
