import type { MessageEntity } from 'grammy/types'
import type { FormattedText } from './entities.js'
import { byPosition } from './order.js'

/**
 * What Telegram does to every text: carriage returns go, other control characters become spaces, white space at both ends goes,
 * and the entities follow.
 */
export function tidy({ text, entities }: FormattedText): FormattedText {
  let kept = ''
  const moved: number[] = []
  for (let index = 0; index < text.length; index++) {
    moved.push(kept.length)
    const char = text.charAt(index)
    if (char === '\r') continue
    kept += isControl(char) ? ' ' : char
  }
  moved.push(kept.length)
  const start = kept.length - kept.trimStart().length
  const end = Math.max(start, kept.trimEnd().length)
  const place = (offset: number): number => Math.min(end, Math.max(start, moved[offset] ?? end)) - start
  return {
    text: kept.slice(start, end),
    entities: entities.flatMap((entity) => moveTo(entity, place)).sort(byPosition),
  }
}

function moveTo(entity: MessageEntity, place: (offset: number) => number): MessageEntity[] {
  const offset = place(entity.offset)
  const length = place(entity.offset + entity.length) - offset
  return length > 0 ? [{ ...entity, offset, length }] : []
}

function isControl(char: string): boolean {
  return char < ' ' && char !== '\n'
}
