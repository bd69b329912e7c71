import { setImmediate } from 'node:timers/promises'
import MarkdownIt from 'markdown-it'
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

const FIRST_WINDOW = 64
const LARGEST_BLOCK = { lines: 1024, characters: 32 * 1024 }
/** Of quotes and lists in each other; an item of a list is two deep. */
const DEEPEST = 40
const PLAIN_ATX = /^ {0,3}#{1,6}[ \t]+([^\\`*_[\]<>&!#~]*[^\\`*_[\]<>&!#~ \t])[ \t]*$/
const MAX_HEADING = 1000
const FENCE = /^ {0,3}(`{3,}|~{3,})/

const parser = new MarkdownIt('commonmark', { maxNesting: DEEPEST })
type Token = ReturnType<typeof parser.parse>[number]

/** A block of the document itself, by its lines: from `first` up to, not including, `after`. */
interface Block {
  /** As the parser calls it, such as `heading_open`. */
  readonly type: string
  /** Its HTML element, such as `h1`. */
  readonly tag: string
  readonly first: number
  readonly after: number
}

interface Line {
  readonly text: string
  readonly start: number
}

/**
 * Finds the headings of a Markdown document. The parser's time can grow faster than its input, and the input is a
 * tenant's: so it gets a window of lines at a time, from the beginning of a block on, and others get a turn in between.
 * It gets no line more than three times.
 *
 * @throws WorkspaceError `INVALID_FILE` for a single block too large to parse in one go, or nested too deep
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
    const blocks = blocksOf(window)
    await setImmediate()
    const open = whole ? undefined : blocks.at(-1)
    if (open && blocks.length === 1) {
      size = grown(size)
      continue
    }
    await forEachInTurns(blocks, (block) => {
      if (block === open) return
      const first = from + block.first
      const after = from + block.after
      const start = lines[first]?.start ?? document.length
      last = { start }
      if (block.type === 'heading_open')
        headings.push({
          text: headingText(lines.slice(first, after)),
          depth: Number(block.tag.slice(1)),
          start,
          end: lines[after]?.start ?? document.length,
        })
      else if (block.type === 'fence') last = { start, ...missingFence(lines, first, after) }
    })
    from += open ? open.first : window.length
    size = FIRST_WINDOW
  }
  return { headings, last }
}

/** The text of a heading given alone, as `outlineOf` would find it; undefined for what is no heading. */
export function headingOf(source: string): string | undefined {
  const [block, content] = parser.parse(source.slice(0, MAX_HEADING), {})
  return block?.type === 'heading_open' ? plainText(content?.children ?? []).trim() : undefined
}

/** The blocks that some lines are, as far as they can be told from these alone: the last one may go on. */
function blocksOf(lines: readonly string[]): Block[] {
  const tokens: Token[] = []
  // Inline markup does not matter here, and is where Markdown can be made slow.
  parser.block.parse(lines.join('\n'), parser, {}, tokens)
  const blocks: Block[] = []
  let covered = 0
  const coverUpTo = (after: number): void => {
    while (covered < after && lines[covered]?.trim() === '') covered++
    // What the parser has no token for are definitions of links.
    if (covered < after) blocks.push({ type: 'definition', tag: '', first: covered, after })
  }
  for (const { type, tag, map, level, nesting } of tokens) {
    // The parser passes over all that comes after what is nested deeper.
    if (nesting === 1 && level + 1 >= DEEPEST) throw tooDeep()
    if (!map || level > 0 || nesting < 0) continue
    const [first, after] = map
    coverUpTo(first)
    blocks.push({ type, tag, first, after })
    covered = after
  }
  coverUpTo(lines.length)
  return blocks
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
  for (const { text: line } of lines.slice(from, from + size)) {
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

function tooDeep(): Error {
  return new WorkspaceError(
    'INVALID_FILE',
    `Quotes or lists of MEMORY.md are nested too deep. Nest them less than ${DEEPEST / 2} deep, or use read() and write().`,
    { path: 'MEMORY.md', reason: 'is nested too deep' },
  )
}

function headingText(lines: readonly Line[]): string {
  const [only] = lines
  const plain = lines.length === 1 ? PLAIN_ATX.exec(only?.text.slice(0, MAX_HEADING) ?? '')?.[1] : undefined
  return plain ?? headingOf(lines.map(({ text }) => text).join('\n')) ?? ''
}

function plainText(tokens: readonly Token[]): string {
  return tokens
    .map(({ type, content, children }) =>
      type === 'softbreak' ? '\n' : children ? plainText(children) : content,
    )
    .join('')
}

function missingFence(lines: readonly Line[], first: number, after: number): { missingFence?: string } {
  const fence = FENCE.exec(lines[first]?.text ?? '')?.[1]
  if (fence === undefined) return {}
  const closing = lines[after - 1]?.text.trim() ?? ''
  const closed =
    after - first > 1 && closing.length >= fence.length && closing === fence.charAt(0).repeat(closing.length)
  return closed ? {} : { missingFence: fence }
}
