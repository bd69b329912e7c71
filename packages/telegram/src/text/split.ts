import type { MessageEntity } from 'grammy/types'
import type { Formatted } from './formatted.js'

/** The longest text of one message, in UTF-16 units. */
export const MESSAGE_LIMIT = 4096
/** The longest caption of a file, in UTF-16 units. */
export const CAPTION_LIMIT = 1024
/** What one message may have of formatting: Telegram ignores more. */
const ENTITY_LIMIT = 100
/** So much text is looked at behind a cut to see whether it goes through a character. */
const LOOKAHEAD = 64
/** From the best place for a cut to the worst. */
const SEPARATORS = ['\n\n', '\n', ' '] as const

const graphemes = new Intl.Segmenter(undefined, { granularity: 'grapheme' })

/**
 * Cuts what is too long for one message: between paragraphs, lines, words or at least characters, the better the place
 * the earlier it is preferred, but no part is left less than half full for it. The texts of the parts make up the text
 * again; what is formatted across a cut is so in both parts, as far as there are no more than a message may have.
 */
export function split(whole: Formatted, limit: number = MESSAGE_LIMIT): Formatted[] {
  const entities = [...whole.entities].sort((one, other) => one.offset - other.offset)
  const parts: Formatted[] = []
  let from = 0
  for (;;) {
    const end = Math.min(whole.text.length, from + limit)
    const here = entities.filter((entity) => overlaps(entity, from, end))
    const to = end === whole.text.length ? end : cutBefore(whole.text, here, from, end)
    const text = whole.text.slice(from, to)
    parts.push({ text, entities: entitiesWithin(here, from, to).slice(0, ENTITY_LIMIT) })
    if (to === whole.text.length) return parts
    from = to
  }
}

/** The best place for a cut after `from` and not after `end`. */
function cutBefore(text: string, entities: readonly MessageEntity[], from: number, end: number): number {
  const earliest = from + Math.ceil((end - from) / 2)
  const segments = graphemes.segment(text.slice(from, end + LOOKAHEAD))
  const code = entities.filter((entity) => entity.type === 'pre' && overlaps(entity, earliest, end))
  const startOfCharacter = (at: number): number => from + (segments.containing(at - from)?.index ?? at - from)
  for (const separator of SEPARATORS) {
    let inCode: number | undefined
    for (let cut = end + 1; cut - 1 - separator.length >= from; ) {
      cut = text.lastIndexOf(separator, cut - 1 - separator.length) + separator.length
      if (cut <= earliest) break
      const isCode = code.some((entity) => isWithin(entity, cut))
      if ((isCode && inCode !== undefined) || startOfCharacter(cut) !== cut) continue
      if (!isCode) return cut
      inCode = cut
    }
    if (inCode !== undefined && separator !== '\n\n') return inCode
  }
  const character = startOfCharacter(end)
  if (character > from) return character
  return isPair(text, end) && end - 1 > from ? end - 1 : end
}

function isWithin({ offset, length }: MessageEntity, at: number): boolean {
  return offset < at && at < offset + length
}

/** Whether a cut at `at` would go through a surrogate pair. */
function isPair(text: string, at: number): boolean {
  return /^[\uD800-\uDBFF][\uDC00-\uDFFF]$/.test(text.slice(at - 1, at + 1))
}

function entitiesWithin(entities: readonly MessageEntity[], from: number, to: number): MessageEntity[] {
  return entities
    .filter((entity) => overlaps(entity, from, to))
    .map((entity) => {
      const begin = Math.max(entity.offset, from)
      const end = Math.min(entity.offset + entity.length, to)
      return { ...entity, offset: begin - from, length: end - begin }
    })
}

function overlaps({ offset, length }: MessageEntity, from: number, to: number): boolean {
  return offset < to && offset + length > from
}
