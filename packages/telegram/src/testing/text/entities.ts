import type { MessageEntity, User } from 'grammy/types'
import { badRequest } from '../api-error.js'
import { isRecord } from '../json.js'
import { checkedLink } from './links.js'

/** A text as a chat shows it: offsets and lengths of `entities` are UTF-16 code units. */
export interface FormattedText {
  readonly text: string
  readonly entities: readonly MessageEntity[]
}

/** Whom a text may mention by id: users that Telegram knows. */
export type MentionedUsers = (id: number) => User | undefined

const PLAIN_TYPES = [
  'mention',
  'hashtag',
  'cashtag',
  'bot_command',
  'url',
  'email',
  'phone_number',
  'bold',
  'italic',
  'underline',
  'strikethrough',
  'spoiler',
  'blockquote',
  'expandable_blockquote',
  'code',
] as const

/** Checks the `entities` of a call against its text. What Telegram ignores (an unknown type, a bad link) is left out. */
export function readEntities(
  text: string,
  given: readonly unknown[] | undefined,
  users: MentionedUsers,
): MessageEntity[] {
  return (given ?? []).flatMap((raw) => {
    const entity = readEntity(raw, users)
    if (entity && entity.length > 0) checkPlace(text, entity)
    return entity && entity.length > 0 ? [entity] : []
  })
}

function readEntity(raw: unknown, users: MentionedUsers): MessageEntity | undefined {
  if (!isRecord(raw)) throw badRequest("can't parse MessageEntity: expected an Object")
  const place = { offset: integer(raw, 'offset'), length: integer(raw, 'length') }
  const { type } = raw
  if (typeof type !== 'string') throw badRequest(`can't parse MessageEntity: ${missing('type', 'String')}`)
  const plain = PLAIN_TYPES.find((known) => known === type)
  if (plain) return { type: plain, ...place }
  switch (type) {
    case 'pre':
      return typeof raw.language === 'string' && raw.language !== ''
        ? { type, ...place, language: raw.language }
        : { type, ...place }
    case 'text_link': {
      const url = checkedLink(typeof raw.url === 'string' ? raw.url : '')
      return url === undefined ? undefined : { type, ...place, url }
    }
    case 'text_mention': {
      const user = isRecord(raw.user) && typeof raw.user.id === 'number' ? users(raw.user.id) : undefined
      return user && { type, ...place, user }
    }
    case 'custom_emoji':
      return { type, ...place, custom_emoji_id: String(raw.custom_emoji_id) }
    default:
      return undefined
  }
}

function integer(raw: Record<string, unknown>, name: string): number {
  const value = Number(raw[name] ?? Number.NaN)
  if (!Number.isInteger(value)) throw badRequest(`can't parse MessageEntity: ${missing(name, 'Number')}`)
  return value
}

function missing(name: string, type: string): string {
  return `Field "${name}" must be of type ${type}`
}

const MOST = 1_000_000

function checkPlace(text: string, { offset, length }: MessageEntity): void {
  if (offset < 0 || offset > MOST) throw badRequest(`receive an entity with incorrect offset ${offset}`)
  if (length < 0 || length > MOST) throw badRequest(`receive an entity with incorrect length ${length}`)
  const end = offset + length
  if (offset >= text.length)
    throw badRequest(`entity begins after the end of the text at UTF-16 offset ${offset}`)
  if (end > text.length)
    throw badRequest(
      `entity beginning at UTF-16 offset ${offset} ends after the end of the text at UTF-16 offset ${end}`,
    )
  if (isInsideSymbol(text, offset))
    throw badRequest(`entity begins in a middle of a UTF-16 symbol at UTF-16 offset ${offset}`)
  if (isInsideSymbol(text, end))
    throw badRequest(
      `entity beginning at UTF-16 offset ${offset} ends in a middle of a UTF-16 symbol at UTF-16 offset ${end}`,
    )
}

function isInsideSymbol(text: string, index: number): boolean {
  return index > 0 && index < text.length && (text.codePointAt(index - 1) ?? 0) > 0xffff
}
