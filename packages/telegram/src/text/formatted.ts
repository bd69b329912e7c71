import type { MessageEntity } from 'grammy/types'

/** What Telegram shows: a text and what is formatted in it. Offsets and lengths are in UTF-16 units. */
export interface Formatted {
  readonly text: string
  readonly entities: readonly MessageEntity[]
}

/** Text without any formatting. */
export function plain(text: string): Formatted {
  return { text, entities: [] }
}

/** Whether Telegram would show the same. */
export function isSame(one: Formatted, other: Formatted): boolean {
  return one.text === other.text && JSON.stringify(one.entities) === JSON.stringify(other.entities)
}

/** Telegram takes no message of white space only. */
export function isBlank({ text }: Formatted): boolean {
  return text.trim() === ''
}
