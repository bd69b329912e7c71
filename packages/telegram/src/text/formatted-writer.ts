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
  /** In effect. */
  readonly #styles: Open[] = []
  /** What was opened; undefined for what lies in the same already. */
  readonly #opened: (Open | undefined)[] = []
  readonly #entities: MessageEntity[] = []

  /** @throws TooMuchText */
  write(text: string): void {
    assertWithin(this.#text.length + text.length)
    this.#text += this.#indent ? text.replaceAll('\n', `\n${this.#indent}`) : text
    assertWithin(this.#text.length)
  }

  /** Lines that begin from now on are indented; less with a negative number. */
  indent(by: number): void {
    this.#indent = ' '.repeat(this.#indent.length + by)
  }

  /** What is written from now on has this style, unless it lies in the same already. */
  open(style: Style): void {
    const isNested = this.#styles.some(({ style: { type } }) => type === style.type)
    const open = isNested ? undefined : { style, from: this.#text.length }
    this.#opened.push(open)
    if (open) this.#styles.push(open)
  }

  /** Ends the style opened last. */
  close(): void {
    const open = this.#opened.pop()
    if (!open) return
    this.#styles.pop()
    this.#add(open)
  }

  code(style: Style, text: string): void {
    const isInLink = this.#styles.some((open) => open.style.type === 'text_link')
    const around = isInLink ? [] : this.#styles.filter((open) => open.style.type !== 'blockquote')
    for (const open of around) this.#add(open)
    const from = this.#text.length
    this.write(text)
    if (!isInLink) this.#add({ style, from })
    for (const open of around) open.from = this.#text.length
  }

  finish(): Formatted {
    return { text: this.#text, entities: this.#entities.toSorted(outerFirst) }
  }

  #add({ style, from }: Open): void {
    const length = this.#text.length - from
    if (length > 0) this.#entities.push({ ...style, offset: from, length })
  }
}

function outerFirst(one: MessageEntity, other: MessageEntity): number {
  return one.offset - other.offset || other.length - one.length
}
