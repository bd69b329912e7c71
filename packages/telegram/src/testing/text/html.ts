import type { MessageEntity } from 'grammy/types'
import type { FormattedText, MentionedUsers } from './entities.js'
import { linkEntity } from './link-entity.js'
import { byPosition } from './order.js'
import { byteOffset, cannotParse } from './parse-error.js'

const SIMPLE = {
  b: 'bold',
  strong: 'bold',
  i: 'italic',
  em: 'italic',
  u: 'underline',
  ins: 'underline',
  s: 'strikethrough',
  strike: 'strikethrough',
  del: 'strikethrough',
  'tg-spoiler': 'spoiler',
  span: 'spoiler',
  code: 'code',
} as const

const OTHER_TAGS = ['a', 'pre', 'blockquote', 'tg-emoji']

interface Tag {
  readonly name: string
  readonly attributes: ReadonlyMap<string, string>
  readonly offset: number
}

/** Telegram's HTML: a few tags, which must be closed in order, and four named entities. */
export function parseHtml(source: string, users: MentionedUsers): FormattedText {
  const open: Tag[] = []
  const entities: MessageEntity[] = []
  let text = ''
  let at = 0
  while (at < source.length) {
    const char = source.charAt(at)
    if (char === '&') {
      const { decoded, end } = decode(source, at)
      text += decoded
      at = end
    } else if (char !== '<') {
      text += char
      at++
    } else if (source.charAt(at + 1) !== '/') {
      const { name, attributes, end } = readStart(source, at)
      open.push({ name, attributes, offset: text.length })
      at = end
    } else {
      const tag = open.pop()
      if (!tag) throw cannotParse(`Unexpected end tag at byte offset ${byteOffset(source, at)}`)
      at = readEnd(source, at, tag.name)
      const place = { offset: tag.offset, length: text.length - tag.offset }
      if (place.length > 0) entities.push(...entityOf(tag, place, text.slice(tag.offset), users))
    }
  }
  const unended = open.at(-1)
  if (unended) throw cannotParse(`Can't find end tag corresponding to start tag "${unended.name}"`)
  if (!text.isWellFormed())
    throw cannotParse(
      'Text contains invalid Unicode characters after decoding HTML entities, check for unmatched surrogate code units',
    )
  return { text, entities: joinCode(entities.sort(byPosition)) }
}

function readStart(
  source: string,
  start: number,
): { name: string; attributes: Map<string, string>; end: number } {
  const where = `at byte offset ${byteOffset(source, start)}`
  const [name = ''] = /^[^\s>]*/.exec(source.slice(start + 1)) ?? []
  let at = start + 1 + name.length
  if (at >= source.length) throw cannotParse(`Unclosed start tag ${where}`)
  const tag = name.toLowerCase()
  if (!(tag in SIMPLE) && !OTHER_TAGS.includes(tag))
    throw cannotParse(`Unsupported start tag "${tag}" ${where}`)
  const attributes = new Map<string, string>()
  for (;;) {
    at = skipSpaces(source, at)
    if (source.charAt(at) === '>') break
    const [attribute = ''] = /^[^\s=>]*/.exec(source.slice(at)) ?? []
    if (attribute === '' && at < source.length)
      throw cannotParse(`Empty attribute name in the tag "${tag}" ${where}`)
    at = skipSpaces(source, at + attribute.length)
    if (at >= source.length) throw cannotParse(`Unclosed start tag "${tag}" ${where}`)
    if (source.charAt(at) !== '=') {
      attributes.set(attribute.toLowerCase(), '')
      continue
    }
    at = skipSpaces(source, at + 1)
    if (at >= source.length) throw cannotParse(`Unclosed start tag "${tag}" ${where}`)
    const { value, end } = readValue(source, at, where)
    attributes.set(attribute.toLowerCase(), value)
    at = end
  }
  if (tag === 'span' && attributes.get('class') !== 'tg-spoiler')
    throw cannotParse(`Tag "span" must have class "tg-spoiler" ${where}`)
  return { name: tag, attributes, end: at + 1 }
}

function readValue(source: string, begin: number, where: string): { value: string; end: number } {
  const quote = source.charAt(begin)
  if (quote !== '"' && quote !== "'") {
    const [value = ''] = /^[a-z0-9.-]*/i.exec(source.slice(begin)) ?? []
    const end = begin + value.length
    if (!/[\s>]/.test(source.charAt(end)))
      throw cannotParse(`Unexpected end of name token at byte offset ${byteOffset(source, begin)}`)
    return { value: value.toLowerCase(), end }
  }
  let value = ''
  for (let at = begin + 1; at < source.length; ) {
    const char = source.charAt(at)
    if (char === quote) return { value, end: at + 1 }
    const next = char === '&' ? decode(source, at) : { decoded: char, end: at + 1 }
    value += next.decoded
    at = next.end
  }
  throw cannotParse(`Unclosed start tag ${where}`)
}

function readEnd(source: string, start: number, expected: string): number {
  const where = `at byte offset ${byteOffset(source, start)}`
  const [name = ''] = /^[^\s>]*/.exec(source.slice(start + 2)) ?? []
  const end = skipSpaces(source, start + 2 + name.length)
  if (source.charAt(end) !== '>') throw cannotParse(`Unclosed end tag ${where}`)
  const tag = name.toLowerCase()
  if (tag !== '' && tag !== expected)
    throw cannotParse(`Unmatched end tag ${where}, expected "</${expected}>", found "</${tag}>"`)
  return end + 1
}

function skipSpaces(source: string, at: number): number {
  while (at < source.length && /\s/.test(source.charAt(at))) at++
  return at
}

const NAMED: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"' }

function decode(source: string, at: number): { decoded: string; end: number } {
  const [whole, name, decimal, hex] =
    /^&(?:([a-z]+)|#(\d+)|#x([0-9a-f]+));?/i.exec(source.slice(at, at + 12)) ?? []
  const code = decimal ? Number.parseInt(decimal, 10) : Number.parseInt(hex ?? '', 16)
  const isCharacter = code > 0 && code <= 0x10ffff
  const decoded = name ? NAMED[name] : isCharacter ? String.fromCodePoint(code) : undefined
  return whole && decoded !== undefined ? { decoded, end: at + whole.length } : { decoded: '&', end: at + 1 }
}

function entityOf(
  { name, attributes }: Tag,
  place: { offset: number; length: number },
  text: string,
  users: MentionedUsers,
): MessageEntity[] {
  switch (name) {
    case 'a':
      return linkEntity(place, attributes.get('href') || text, users)
    case 'pre':
      return [{ type: 'pre', ...place }]
    case 'code': {
      const language = /^language-(.+)$/.exec(attributes.get('class') ?? '')?.[1]
      return language ? [{ type: 'pre', ...place, language }] : [{ type: 'code', ...place }]
    }
    case 'blockquote':
      return [{ type: attributes.has('expandable') ? 'expandable_blockquote' : 'blockquote', ...place }]
    case 'tg-emoji':
      return [{ type: 'custom_emoji', ...place, custom_emoji_id: attributes.get('emoji-id') ?? '' }]
    default:
      return isSimple(name) ? [{ type: SIMPLE[name], ...place }] : []
  }
}

function isSimple(name: string): name is keyof typeof SIMPLE {
  return name in SIMPLE
}

/** `<pre><code class="language-…">` is one block; a language without a block around it is mere code. */
function joinCode(entities: readonly MessageEntity[]): MessageEntity[] {
  const same = (one: MessageEntity, other: MessageEntity) =>
    one !== other && one.offset === other.offset && one.length === other.length
  return entities.flatMap((entity): MessageEntity[] => {
    if (entity.type !== 'pre') return [entity]
    const twin = entities.find((other) => other.type === 'pre' && same(entity, other))
    const hasLanguage = entity.language !== undefined
    if (twin?.type === 'pre' && (twin.language !== undefined) !== hasLanguage)
      return hasLanguage ? [entity] : []
    return hasLanguage ? [{ type: 'code', offset: entity.offset, length: entity.length }] : [entity]
  })
}
