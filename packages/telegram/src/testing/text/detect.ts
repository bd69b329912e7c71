import type { MessageEntity } from 'grammy/types'
import { byPosition } from './order.js'

type DetectedType = 'bot_command' | 'mention' | 'hashtag' | 'url' | 'email'

/** What Telegram recognises in a text. The first group of each is the entity; what stands before it must not be a word. */
const PATTERNS: readonly [DetectedType, RegExp][] = [
  ['url', /(?<![\p{L}\p{N}@])(https?:\/\/[^\s<>"]+[^\s<>".,;:!?)'\]])/giu],
  ['email', /(?<![\p{L}\p{N}._%+-])([\w.%+-]+@[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2,})(?![\p{L}\p{N}])/giu],
  ['bot_command', /(?<![\p{L}\p{N}_/<>])(\/[a-z0-9_]{1,64}(?:@[a-z0-9_]{3,32})?)(?![\w/])/giu],
  ['mention', /(?<![\p{L}\p{N}_])(@[a-z]\w{2,31})(?!\w)/giu],
  ['hashtag', /(?<![\p{L}\p{N}_#])(#(?=[\p{L}\p{N}_]*\p{L})[\p{L}\p{N}_]{1,256})/giu],
]

/** Without overlaps: where two would, the one that begins first is kept. */
export function detectEntities(text: string): MessageEntity[] {
  const found = PATTERNS.flatMap(([type, pattern]) =>
    [...text.matchAll(pattern)].map((match) => ({ type, offset: match.index, length: match[0].length })),
  ).sort(byPosition)
  let end = 0
  return found.filter(({ offset, length }) => {
    if (offset < end) return false
    end = offset + length
    return true
  })
}
