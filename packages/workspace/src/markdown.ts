import { setImmediate } from 'node:timers/promises'
import { fromMarkdown } from 'mdast-util-from-markdown'
import { WorkspaceError } from './errors.js'
import { forEachInTurns } from './turns.js'

/** A heading of the document itself; one inside a quote, a list or a code fence is text. Offsets are UTF-16 units. */
export interface Heading {
  readonly text: string
  readonly depth: number
  /** Where its first line begins. */
  readonly start: number
  /** Where the line after it begins. */
  readonly end: number
}

export interface Outline {
  readonly headings: readonly Heading[]
  /** The last block, with the line that would close it when it is a code fence that was left open. */
  readonly last: { readonly start: number; readonly missingFence?: string } | undefined
}

/** Only the blocks matter here, and inline constructs are where Markdown can be made slow. */
const BLOCKS_ONLY = {
  disable: {
    null: [
      'attention',
      'autolink',
      'characterEscape',
      'characterReference',
      'codeText',
      'hardBreakEscape',
      'htmlText',
      'labelEnd',
      'labelStartImage',
      'labelStartLink',
    ],
  },
}
const FIRST_WINDOW = 64
const LARGEST_BLOCK = { lines: 1024, characters: 32 * 1024 }
/** A line with more quotes or lists in each other than anybody reads; the parser's time grows with their square. */
const DEEP = /^(?:[ \t]*(?:>|[-+*]|\d{1,9}[.)])[ \t]?){6}(?=[ \t]*(?:>|[-+*]|\d{1,9}[.)]))/
const PLAIN_ATX = /^ {0,3}#{1,6}[ \t]+([^\\`*_[\]<>&!#~]*[^\\`*_[\]<>&!#~ \t])[ \t]*$/
const MAX_HEADING = 1000
const FENCE = /^ {0,3}(`{3,}|~{3,})/

type Node = ReturnType<typeof fromMarkdown>['children'][number]

interface Line {
  readonly text: string
  readonly start: number
}

/**
 * Finds the headings of a Markdown document. The parser's time grows faster than its input, and the input is a
 * tenant's: so it gets a window of lines at a time, from the beginning of a block on, and others get a turn in between.
 *
 * @throws WorkspaceError `INVALID_FILE` for a single block too large to parse in one go
 */
export async function outlineOf(document: string): Promise<Outline> {
  const lines = linesOf(document)
  const headings: Heading[] = []
  let last: Outline['last']
  let from = 0
  let size = FIRST_WINDOW
  while (from < lines.length) {
    const window = windowOf(lines, from, size)
    const whole = from + window.length >= lines.length
    const blocks = fromMarkdown(window.join('\n'), { extensions: [BLOCKS_ONLY] }).children
    await setImmediate()
    const open = whole ? undefined : blocks.at(-1)
    if (open && blocks.length === 1) {
      size = grown(size)
      continue
    }
    await forEachInTurns(blocks, (block) => {
      if (block === open || !block.position) return
      const first = from + block.position.start.line - 1
      const after = from + block.position.end.line
      const start = lines[first]?.start ?? document.length
      last = { start }
      if (block.type === 'heading')
        headings.push({
          text: headingText(lines.slice(first, after)),
          depth: block.depth,
          start,
          end: lines[after]?.start ?? document.length,
        })
      else if (block.type === 'code') last = { start, ...missingFence(lines, first, after) }
    })
    from = open?.position ? from + open.position.start.line - 1 : from + window.length
    size = FIRST_WINDOW
  }
  return { headings, last }
}

/** The text of a heading given alone, as `outlineOf` would find it; undefined for what is no heading. */
export function headingOf(source: string): string | undefined {
  const [block] = fromMarkdown(source.slice(0, MAX_HEADING)).children
  return block?.type === 'heading' ? plainText(block).trim() : undefined
}

function linesOf(document: string): Line[] {
  const lines: Line[] = []
  for (const match of document.matchAll(/[^\r\n]*(?:\r\n|\n|\r|$)/g)) {
    if (match[0] === '') break
    lines.push({ text: match[0].replace(/[\r\n]+$/, ''), start: match.index })
  }
  return lines
}

function windowOf(lines: readonly Line[], from: number, size: number): string[] {
  const window: string[] = []
  let characters = 0
  for (const { text } of lines.slice(from, from + size)) {
    const line = DEEP.exec(text)?.[0] ?? text
    characters += line.length + 1
    if (window.length > 0 && characters > LARGEST_BLOCK.characters) break
    if (line.length > LARGEST_BLOCK.characters) throw blockTooLarge()
    window.push(line)
  }
  return window
}

function grown(size: number): number {
  if (size >= LARGEST_BLOCK.lines) throw blockTooLarge()
  return size * 4
}

function blockTooLarge(): Error {
  return new WorkspaceError(
    'INVALID_FILE',
    `A single block of MEMORY.md has more than ${LARGEST_BLOCK.lines} lines or ${LARGEST_BLOCK.characters} characters. Divide it by headings or blank lines, or use read() and write().`,
    { path: 'MEMORY.md', reason: 'has a block that is too large' },
  )
}

function headingText(lines: readonly Line[]): string {
  const [only] = lines
  const plain = lines.length === 1 ? PLAIN_ATX.exec(only?.text.slice(0, MAX_HEADING) ?? '')?.[1] : undefined
  return plain ?? headingOf(lines.map(({ text }) => text).join('\n')) ?? ''
}

function plainText(node: Node): string {
  if ('value' in node) return node.value
  if ('alt' in node) return node.alt ?? ''
  return 'children' in node ? node.children.map(plainText).join('') : ''
}

function missingFence(lines: readonly Line[], first: number, after: number): { missingFence?: string } {
  const fence = FENCE.exec(lines[first]?.text ?? '')?.[1]
  if (fence === undefined) return {}
  const closing = lines[after - 1]?.text.trim() ?? ''
  const closed =
    after - first > 1 && closing.length >= fence.length && closing === fence.charAt(0).repeat(closing.length)
  return closed ? {} : { missingFence: fence }
}
