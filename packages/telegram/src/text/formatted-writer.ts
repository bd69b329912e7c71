import type { MessageEntity } from 'grammy/types'
import type { Formatted } from './formatted.js'

/** More than any answer has, with room for what is set in columns. */
const MOST_TEXT = 100_000

/** What was written would become far more than it is. */
export class TooMuchText extends Error {
  override readonly name = 'TooMuchText'
}

/** @throws TooMuchText */
export function assertWithin(length: number): void {
  if (length > MOST_TEXT) throw new TooMuchText()
}

/** An entity before it is known where it lies. */
export type Style =
  | { readonly type: 'bold' | 'italic' | 'strikethrough' | 'blockquote' | 'code' }
  | { readonly type: 'pre'; readonly language?: string }
  | { readonly type: 'text_link'; readonly url: string }

interface Open {
  readonly style: Style
  /** Where what is written from now on begins. */
  from: number
}

/**
 * Puts a formatted text together, keeping to what Telegram takes: quotes and links do not nest, and code has no other
 * formatting, nor is any around it but a quote.
 */
export class FormattedWriter {
  #text = ''
  #indent = ''
  readonly #open: Open[] = []
  readonly #entities: MessageEntity[] = []

  /** @throws TooMuchText */
  write(text: string): void {
    assertWithin(this.#text.length + text.length)
    this.#text += this.#indent ? text.replaceAll('\n', `\n${this.#indent}`) : text
    assertWithin(this.#text.length)
  }

  /** Lines that begin inside are indented. */
  indented(by: string, write: () => void): void {
    const outer = this.#indent
    this.#indent += by
    write()
    this.#indent = outer
  }

  /** What `write` writes has this style, unless it lies in the same already. */
  within(style: Style, write: () => void): void {
    const isNested = this.#open.some(({ style: { type } }) => type === style.type)
    const open = { style, from: this.#text.length }
    if (!isNested) this.#open.push(open)
    write()
    if (!isNested) {
      this.#open.pop()
      this.#close(open)
    }
  }

  code(style: Style, text: string): void {
    const isInLink = this.#open.some((open) => open.style.type === 'text_link')
    const around = isInLink ? [] : this.#open.filter((open) => open.style.type !== 'blockquote')
    for (const open of around) this.#close(open)
    const from = this.#text.length
    this.write(text)
    if (!isInLink) this.#close({ style, from })
    for (const open of around) open.from = this.#text.length
  }

  finish(): Formatted {
    return { text: this.#text, entities: this.#entities.toSorted(outerFirst) }
  }

  #close({ style, from }: Open): void {
    const length = this.#text.length - from
    if (length > 0) this.#entities.push({ ...style, offset: from, length })
  }
}

function outerFirst(one: MessageEntity, other: MessageEntity): number {
  return one.offset - other.offset || other.length - one.length
}
