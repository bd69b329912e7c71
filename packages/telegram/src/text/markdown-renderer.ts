import type { Token } from 'markdown-it'
import { inColumns } from './columns.js'
import type { Formatted } from './formatted.js'
import { FormattedWriter } from './formatted-writer.js'

const LINKS = /^(https?|tg|mailto|tel):/i
const TASK = /^\[([ xX])\]\s+/
const RULE = '———'

/** What has blocks in it: the whole text, a quote, a list or one of its items. */
interface Container {
  /** Undefined for the whole text. */
  readonly around: Container | undefined
  between: '\n' | '\n\n'
  isEmpty: boolean
  /** Of the next item, in a list that counts. */
  number?: number | undefined
}

/** Writes what the Markdown parser has found, block by block. */
export class MarkdownRenderer {
  readonly #out = new FormattedWriter()
  #here: Container = { around: undefined, between: '\n\n', isEmpty: true }
  /** Of the table that is being written. */
  #rows: string[][] | undefined
  /** Ends the link that is being written: links do not nest. */
  #endLink = (): void => undefined

  /** @throws TooMuchText */
  render(tokens: readonly Token[]): Formatted {
    for (const [at, token] of tokens.entries()) {
      if (token.type === 'list_item_open') this.#beginItem(tokens[at + 2])
      else this.#block(token)
    }
    return this.#out.finish()
  }

  #block(token: Token): void {
    switch (token.type) {
      case 'paragraph_open':
        // The parser hides those of lists whose items stand close together.
        if (!token.hidden) this.#apart()
        this.#begin()
        break
      case 'heading_open':
        this.#begin()
        this.#out.open({ type: 'bold' })
        break
      case 'heading_close':
        this.#out.close()
        break
      case 'inline':
        if (this.#rows) this.#rows.at(-1)?.push(textOf(token.children ?? []))
        else for (const child of token.children ?? []) this.#inline(child)
        break
      case 'blockquote_open':
        this.#begin()
        this.#out.open({ type: 'blockquote' })
        this.#enter('\n\n')
        break
      case 'blockquote_close':
        this.#leave()
        this.#out.close()
        break
      case 'bullet_list_open':
        this.#begin()
        this.#enter('\n')
        break
      case 'ordered_list_open':
        this.#begin()
        this.#enter('\n', Number(token.attrGet('start') ?? 1))
        break
      case 'bullet_list_close':
      case 'ordered_list_close':
        this.#leave()
        break
      case 'list_item_close':
        this.#leave()
        this.#out.indent(-2)
        break
      case 'fence':
      case 'code_block':
        this.#begin()
        this.#pre(token.content.replace(/\n$/, ''), /\S+/.exec(token.info)?.[0])
        break
      case 'hr':
        this.#begin()
        this.#out.write(RULE)
        break
      case 'table_open':
        this.#begin()
        this.#rows = []
        break
      case 'tr_open':
        this.#rows?.push([])
        break
      case 'table_close':
        this.#pre(inColumns(this.#rows ?? []))
        this.#rows = undefined
        break
    }
  }

  #inline(token: Token): void {
    switch (token.type) {
      case 'text':
        this.#out.write(token.content)
        break
      case 'softbreak':
      case 'hardbreak':
        this.#out.write('\n')
        break
      case 'code_inline':
        this.#out.code({ type: 'code' }, token.content)
        break
      case 'strong_open':
        this.#out.open({ type: 'bold' })
        break
      case 'em_open':
        this.#out.open({ type: 'italic' })
        break
      case 's_open':
        this.#out.open({ type: 'strikethrough' })
        break
      case 'strong_close':
      case 'em_close':
      case 's_close':
        this.#out.close()
        break
      case 'link_open':
        // Of a bare address Telegram makes a link by itself.
        if (token.info !== 'auto') this.#endLink = this.#link(String(token.attrGet('href')))
        break
      case 'link_close':
        this.#endLink()
        this.#endLink = () => undefined
        break
      case 'image': {
        const url = String(token.attrGet('src'))
        const end = this.#link(url)
        this.#out.write(textOf(token.children ?? []) || url)
        end()
        break
      }
    }
  }

  /** Returns what ends it. What Telegram takes for no address is written behind. */
  #link(url: string): () => void {
    if (LINKS.test(url)) {
      this.#out.open({ type: 'text_link', url })
      return () => this.#out.close()
    }
    return () => {
      if (url) this.#out.write(` (${url})`)
    }
  }

  #pre(text: string, language?: string): void {
    this.#out.code({ type: 'pre', ...(language === undefined ? {} : { language }) }, text)
  }

  /** @param first what the parser has found in the item's first paragraph, if that is what it begins with */
  #beginItem(first: Token | undefined): void {
    this.#begin()
    const text = first?.children?.[0]
    const task = text?.type === 'text' ? TASK.exec(text.content) : null
    if (text && task) text.content = text.content.slice(task[0].length)
    const box = task && (task[1] === ' ' ? '☐ ' : '☑ ')
    if (this.#here.number === undefined) this.#out.write(box ?? '• ')
    else this.#out.write(`${this.#here.number++}. ${box ?? ''}`)
    this.#out.indent(2)
    this.#enter('\n')
  }

  #enter(between: Container['between'], number?: number): void {
    this.#here = { around: this.#here, between, isEmpty: true, number }
  }

  #leave(): void {
    this.#here = this.#here.around ?? this.#here
  }

  /** A block begins. */
  #begin(): void {
    if (!this.#here.isEmpty) this.#out.write(this.#here.between)
    this.#here.isEmpty = false
  }

  /** Blocks stand apart, and so do the items where the blocks are those of one. */
  #apart(): void {
    const { around } = this.#here
    if (!around || this.#here.between === '\n\n') return
    this.#here.between = '\n\n'
    around.between = '\n\n'
  }
}

/** What a table's cell or an image's description says, without any formatting. */
function textOf(tokens: readonly Token[]): string {
  return tokens.map(({ type, content }) => (type === 'softbreak' ? ' ' : content)).join('')
}
