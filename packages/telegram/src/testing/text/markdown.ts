import type { MessageEntity } from 'grammy/types'
import type { FormattedText, MentionedUsers } from './entities.js'
import { readFence } from './fence.js'
import { linkEntity } from './link-entity.js'
import { byteOffset, cannotParse } from './parse-error.js'

/** Telegram's first Markdown: no nesting, and escapes outside of entities only. */
export function parseMarkdown(source: string, users: MentionedUsers): FormattedText {
  let text = ''
  const entities: MessageEntity[] = []
  for (let at = 0; at < source.length; at++) {
    const char = source.charAt(at)
    if (char === '\\' && '_*`['.includes(source.charAt(at + 1) || ' ')) {
      text += source.charAt(++at)
      continue
    }
    if (!'_*`['.includes(char)) {
      text += char
      continue
    }
    const fence = source.startsWith('```', at) ? readFence(source, at) : undefined
    const begin = fence?.end ?? at + 1
    const closing = fence ? '```' : char === '[' ? ']' : char
    const end = source.indexOf(closing, begin)
    if (end < 0)
      throw cannotParse(`Can't find end of the entity starting at byte offset ${byteOffset(source, at)}`)
    const place = { offset: text.length, length: end - begin }
    text += source.slice(begin, end)
    at = end + closing.length - 1
    let url: string | undefined
    if (char === '[' && source.charAt(end + 1) === '(') {
      const close = source.indexOf(')', end + 2)
      url = source.slice(end + 2, close < 0 ? source.length : close)
      at = close < 0 ? source.length : close
    }
    if (place.length === 0) continue
    if (char === '_') entities.push({ type: 'italic', ...place })
    else if (char === '*') entities.push({ type: 'bold', ...place })
    else if (char === '[') entities.push(...linkEntity(place, url ?? source.slice(begin, end), users))
    else if (!fence) entities.push({ type: 'code', ...place })
    else entities.push({ type: 'pre', ...place, ...(fence.language && { language: fence.language }) })
  }
  return { text, entities }
}
