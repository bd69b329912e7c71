import type { MessageEntity } from 'grammy/types'
import type { FormattedText, MentionedUsers } from './entities.js'
import { readFence } from './fence.js'
import { linkEntity } from './link-entity.js'
import { byPosition } from './order.js'
import { byteOffset, cannotParse } from './parse-error.js'

type Kind =
  | 'Bold'
  | 'Italic'
  | 'Underline'
  | 'Strikethrough'
  | 'Spoiler'
  | 'Code'
  | 'Pre'
  | 'PreCode'
  | 'TextUrl'
  | 'CustomEmoji'
  | 'BlockQuote'

/** An entity that has begun. `at` is where its mark stands in the source, `offset` where its text begins in the result. */
interface Open {
  readonly kind: Kind
  readonly at: number
  readonly offset: number
  readonly language?: string
}

const RESERVED = '_*[]()~`>#+-=|{}.!\n'

const SIMPLE = {
  Bold: 'bold',
  Italic: 'italic',
  Underline: 'underline',
  Strikethrough: 'strikethrough',
  Spoiler: 'spoiler',
  Code: 'code',
} as const

/** The mark that ends an entity. */
const CLOSING: Readonly<Record<Exclude<Kind, 'BlockQuote'>, string>> = {
  Bold: '*',
  Italic: '_',
  Underline: '__',
  Strikethrough: '~',
  Spoiler: '||',
  Code: '`',
  Pre: '```',
  PreCode: '```',
  TextUrl: ']',
  CustomEmoji: ']',
}

export function parseMarkdownV2(source: string, users: MentionedUsers): FormattedText {
  return new Reader(source, users).read()
}

class Reader {
  readonly #source: string
  readonly #users: MentionedUsers
  readonly #open: Open[] = []
  readonly #entities: MessageEntity[] = []
  #at = 0
  #text = ''
  #quoteMayStart = true

  constructor(source: string, users: MentionedUsers) {
    this.#source = source
    this.#users = users
  }

  read(): FormattedText {
    while (this.#at < this.#source.length) this.#step()
    this.#endQuote('')
    const left = this.#open.at(-1)
    if (left) throw this.#unended(left)
    return { text: this.#text, entities: this.#entities.sort(byPosition) }
  }

  #step(): void {
    const char = this.#source.charAt(this.#at)
    const escaped = this.#source.charAt(this.#at + 1)
    if (char === '\\' && escaped > '\0' && escaped <= '~') {
      this.#write(escaped, 2)
      return
    }
    const innermost = this.#open.at(-1)
    const reserved = isCode(innermost) ? '`' : RESERVED
    if (!reserved.includes(char)) this.#write(char, 1)
    else if (char === '\n') this.#newline()
    else if (innermost && this.#closes(innermost, char)) this.#close(innermost)
    else this.#begin(char)
  }

  #write(char: string, consumed: number): void {
    this.#text += char
    this.#at += consumed
    if (char !== '\r') this.#quoteMayStart = char === '\n'
  }

  #newline(): void {
    if (this.#source.charAt(this.#at + 1) !== '>') this.#endQuote('\n')
    this.#write('\n', 1)
  }

  #closes(open: Open, char: string): boolean {
    if (open.kind === 'BlockQuote') return false
    if (open.kind === 'Italic') return char === '_' && this.#source.charAt(this.#at + 1) !== '_'
    return this.#source.startsWith(CLOSING[open.kind], this.#at)
  }

  #begin(char: string): void {
    const opening = this.#opening(char)
    if (opening) this.#push(opening.kind, opening.mark, opening.language)
    else if (char === '>' && this.#quoteMayStart && this.#inQuote()) this.#at++
    else throw cannotParse(`Character '${char}' is reserved and must be escaped with the preceding '\\'`)
  }

  /** What a reserved character begins. `mark` is the length of the opening mark. */
  #opening(char: string): { kind: Kind; mark: number; language?: string } | undefined {
    const next = this.#source.charAt(this.#at + 1)
    switch (char) {
      case '_':
        return next === '_' ? { kind: 'Underline', mark: 2 } : { kind: 'Italic', mark: 1 }
      case '*':
        return { kind: 'Bold', mark: 1 }
      case '~':
        return { kind: 'Strikethrough', mark: 1 }
      case '[':
        return { kind: 'TextUrl', mark: 1 }
      case '|':
        return next === '|' ? { kind: 'Spoiler', mark: 2 } : undefined
      case '!':
        return next === '[' ? { kind: 'CustomEmoji', mark: 2 } : undefined
      case '>':
        return this.#quoteMayStart && !this.#inQuote() ? { kind: 'BlockQuote', mark: 1 } : undefined
      case '`': {
        if (!this.#source.startsWith('```', this.#at)) return { kind: 'Code', mark: 1 }
        const { language, end } = readFence(this.#source, this.#at)
        return { kind: language === '' ? 'Pre' : 'PreCode', mark: end - this.#at, language }
      }
      default:
        return undefined
    }
  }

  #inQuote(): boolean {
    return this.#open.some(({ kind }) => kind === 'BlockQuote')
  }

  #push(kind: Kind, consumed: number, language?: string): void {
    const open = { kind, at: this.#at, offset: this.#text.length }
    this.#open.push(language ? { ...open, language } : open)
    this.#at += consumed
  }

  #close(open: Open): void {
    this.#open.pop()
    if (open.kind === 'BlockQuote') return
    this.#at += CLOSING[open.kind].length
    const place = { offset: open.offset, length: this.#text.length - open.offset }
    const made = this.#make(open, place)
    if (place.length > 0) this.#entities.push(...made)
  }

  #make(open: Open, place: { offset: number; length: number }): MessageEntity[] {
    switch (open.kind) {
      case 'Pre':
      case 'PreCode':
        return [{ type: 'pre', ...place, ...(open.language && { language: open.language }) }]
      case 'TextUrl':
        return linkEntity(place, this.#target('a URL') ?? this.#text.slice(open.offset), this.#users)
      case 'CustomEmoji':
        return [
          {
            type: 'custom_emoji',
            ...place,
            custom_emoji_id: customEmoji(this.#target('a custom emoji URL')),
          },
        ]
      case 'BlockQuote':
        return [{ type: 'blockquote', ...place }]
      default:
        return [{ type: SIMPLE[open.kind], ...place }]
    }
  }

  /** The `(…)` behind a `]`, if there is one. */
  #target(what: string): string | undefined {
    if (this.#source.charAt(this.#at) !== '(') return undefined
    const begin = this.#at + 1
    let target = ''
    for (let at = begin; at < this.#source.length; at++) {
      const char = this.#source.charAt(at)
      if (char === ')') {
        this.#at = at + 1
        return target
      }
      const escaped = this.#source.charAt(at + 1)
      if (char === '\\' && escaped > '\0' && escaped <= '~') {
        target += escaped
        at++
      } else target += char
    }
    throw cannotParse(`Can't find end of ${what} at byte offset ${byteOffset(this.#source, begin)}`)
  }

  /**
   * Ends the block quote that is open, at a line's end or at the text's. A spoiler mark that has just been opened there makes
   * the quote expandable; any other entity that is still open is an error.
   *
   * @param newline What of the line's end belongs to the quote.
   */
  #endQuote(newline: '\n' | ''): void {
    if (!this.#inQuote()) return
    const last = this.#open.at(-1)
    const expandable = last?.kind === 'Spoiler' && /^\r?$/.test(this.#source.slice(last.at + 2, this.#at))
    if (expandable) this.#open.pop()
    const quote = this.#open.at(-1)
    if (quote?.kind !== 'BlockQuote') {
      if (newline === '' || !quote) return
      throw this.#unended(quote)
    }
    this.#open.pop()
    const length = this.#text.length + newline.length - quote.offset
    if (length > 0)
      this.#entities.push({
        type: expandable ? 'expandable_blockquote' : 'blockquote',
        offset: quote.offset,
        length,
      })
  }

  #unended({ kind, at }: Open): Error {
    return cannotParse(`Can't find end of ${kind} entity at byte offset ${byteOffset(this.#source, at)}`)
  }
}

function isCode(open: Open | undefined): boolean {
  return open?.kind === 'Code' || open?.kind === 'Pre' || open?.kind === 'PreCode'
}

function customEmoji(url: string | undefined): string {
  if (url === undefined) throw cannotParse('Custom emoji entity must contain a tg://emoji URL')
  const found = /^tg:(?:\/\/)?emoji\/?\?(?:[^#]*&)?id=(\d+)/i.exec(url)
  if (!found?.[1]) throw cannotParse('Custom emoji URL must have an emoji identifier')
  return found[1]
}
