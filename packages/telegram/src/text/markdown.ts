import type { Definition, Link, List, Nodes, PhrasingContent, RootContent, Table } from 'mdast'
import { fromMarkdown } from 'mdast-util-from-markdown'
import { gfmFromMarkdown } from 'mdast-util-gfm'
import { gfm } from 'micromark-extension-gfm'
import { type Formatted, plain } from './formatted.js'
import { assertWithin, FormattedWriter, TooMuchText } from './formatted-writer.js'

const LINKS = /^(https?|tg|mailto|tel):/i
const RULE = '———'

/**
 * Markdown as models write it (CommonMark with GitHub's tables, strikethrough and task lists) as Telegram shows it. What
 * Telegram has no form for becomes text: a heading is bold, a list has its bullets, a table is set in columns. Markup
 * that is not complete, such as while an answer is still being written, stays as it is written; so does all of what is
 * nested too deep, or would become far longer than it is.
 */
export function renderMarkdown(markdown: string): Formatted {
  try {
    return render(markdown)
  } catch (error) {
    // A RangeError: the stack was not deep enough.
    if (error instanceof RangeError || error instanceof TooMuchText) return plain(markdown)
    throw error
  }
}

function render(markdown: string): Formatted {
  const tree = fromMarkdown(markdown, {
    extensions: [gfm({ singleTilde: false })],
    mdastExtensions: [gfmFromMarkdown()],
  })
  const renderer = new Renderer(definitionsOf(tree))
  renderer.blocks(tree.children, '\n\n')
  return renderer.out.finish()
}

function definitionsOf(tree: Nodes): Map<string, Definition> {
  const found = new Map<string, Definition>()
  const visit = (node: Nodes): void => {
    if (node.type === 'definition' && !found.has(node.identifier)) found.set(node.identifier, node)
    if ('children' in node) for (const child of node.children) visit(child)
  }
  visit(tree)
  return found
}

class Renderer {
  readonly out = new FormattedWriter()
  readonly #definitions: ReadonlyMap<string, Definition>

  constructor(definitions: ReadonlyMap<string, Definition>) {
    this.#definitions = definitions
  }

  blocks(nodes: readonly RootContent[], between: string): void {
    nodes
      .filter((node) => node.type !== 'definition')
      .forEach((node, index) => {
        if (index > 0) this.out.write(between)
        this.#block(node)
      })
  }

  #block(node: RootContent): void {
    switch (node.type) {
      case 'paragraph':
        this.#inline(node.children)
        break
      case 'heading':
        this.out.within({ type: 'bold' }, () => this.#inline(node.children))
        break
      case 'blockquote':
        this.out.within({ type: 'blockquote' }, () => this.blocks(node.children, '\n\n'))
        break
      case 'code':
        this.out.code({ type: 'pre', ...(node.lang ? { language: node.lang } : {}) }, node.value)
        break
      case 'list':
        this.#list(node)
        break
      case 'table':
        this.out.code({ type: 'pre' }, this.#table(node))
        break
      case 'thematicBreak':
        this.out.write(RULE)
        break
      case 'footnoteDefinition':
        this.out.write(`[${node.label ?? node.identifier}] `)
        this.blocks(node.children, '\n')
        break
      default:
        this.#phrase(node as PhrasingContent)
    }
  }

  #list({ children, ordered, start, spread }: List): void {
    children.forEach((item, index) => {
      if (index > 0) this.out.write(spread ? '\n\n' : '\n')
      const task = typeof item.checked === 'boolean' ? (item.checked ? '☑ ' : '☐ ') : undefined
      const bullet = ordered ? `${(start ?? 1) + index}. ${task ?? ''}` : (task ?? '• ')
      this.out.write(bullet)
      this.out.indented('  ', () => this.blocks(item.children, item.spread ? '\n\n' : '\n'))
    })
  }

  #inline(nodes: readonly PhrasingContent[]): void {
    for (const node of nodes) this.#phrase(node)
  }

  #phrase(node: PhrasingContent): void {
    switch (node.type) {
      case 'text':
      case 'html':
        this.out.write(node.value)
        break
      case 'strong':
        this.out.within({ type: 'bold' }, () => this.#inline(node.children))
        break
      case 'emphasis':
        this.out.within({ type: 'italic' }, () => this.#inline(node.children))
        break
      case 'delete':
        this.out.within({ type: 'strikethrough' }, () => this.#inline(node.children))
        break
      case 'inlineCode':
        this.out.code({ type: 'code' }, node.value)
        break
      case 'break':
        this.out.write('\n')
        break
      case 'link':
        if (isBare(node)) this.#inline(node.children)
        else this.#link(node.url, () => this.#inline(node.children))
        break
      case 'image':
        this.#link(node.url, () => this.out.write(node.alt || node.url))
        break
      case 'linkReference':
        this.#link(this.#definitions.get(node.identifier)?.url, () => this.#inline(node.children))
        break
      case 'imageReference':
        this.#link(this.#definitions.get(node.identifier)?.url, () =>
          this.out.write(node.alt || node.identifier),
        )
        break
      case 'footnoteReference':
        this.out.write(`[${node.label ?? node.identifier}]`)
        break
    }
  }

  #link(url: string | undefined, write: () => void): void {
    if (url !== undefined && LINKS.test(url)) this.out.within({ type: 'text_link', url }, write)
    else {
      write()
      if (url) this.out.write(` (${url})`)
    }
  }

  #table({ children }: Table): string {
    const rows = children.map((row) =>
      row.children.map(({ children: cell }) => {
        const inner = new Renderer(this.#definitions)
        inner.#inline(cell)
        return inner.out.finish().text.replaceAll('\n', ' ')
      }),
    )
    const widths = (rows[0] ?? []).map((_, column) =>
      Math.max(...rows.map((row) => widthOf(row[column] ?? ''))),
    )
    assertWithin(rows.length * widths.reduce((sum, width) => sum + width + ' | '.length, 0))
    const lines = rows.map((row) =>
      widths
        .map((width, column) => {
          const cell = row[column] ?? ''
          return cell + ' '.repeat(width - widthOf(cell))
        })
        .join(' | ')
        .trimEnd(),
    )
    lines.splice(1, 0, widths.map((width) => '-'.repeat(width)).join('-+-'))
    return lines.join('\n')
  }
}

/** An address as it stands in the text: Telegram finds it by itself. */
function isBare({ url, children: [only] }: Link): boolean {
  return only?.type === 'text' && url.endsWith(only.value)
}

function widthOf(text: string): number {
  return [...text].length
}
