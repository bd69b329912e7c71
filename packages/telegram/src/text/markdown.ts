import MarkdownIt from 'markdown-it'
import { isLate, withDeadline } from './deadline.js'
import { type Formatted, plain } from './formatted.js'
import { TooMuchText } from './formatted-writer.js'
import { MarkdownRenderer } from './markdown-renderer.js'

/** The longest text that is looked at for markup: longer than any answer that is shown. */
const MOST_MARKDOWN = 50_000
/**
 * Whatever a tenant's agent writes, everybody else waits no longer for it. The parser reads the longest text of an
 * ordinary kind in about 30 ms, and most that is written to be slow in 200 ms; but some takes it seconds.
 */
const LONGEST_MS = 250
/** Of quotes and lists: an item of a list is two deep. */
const DEEPEST = 40

/** A bare address from its colon on: Telegram finds it by itself, so that no `__` in it may be taken for markup. */
const ADDRESS = /:\/\/[^\s<>[\]`|\\]+/y
/** What ends a sentence or a markup rather than an address. */
const AFTER_ADDRESS = `?!.,:;*_~'"()`

const parser = new MarkdownIt({ maxNesting: DEEPEST })
// Addresses are shown as they are written, whatever they are.
parser.validateLink = () => true
parser.normalizeLink = (url) => url
parser.normalizeLinkText = (url) => url
parser.inline.ruler.before('escape', 'address', (state, silent) => {
  if (!/https?$/i.test(state.src.slice(Math.max(0, state.pos - 5), state.pos))) return false
  ADDRESS.lastIndex = state.pos
  const found = ADDRESS.exec(state.src)?.[0] ?? ''
  let { length } = found
  while (length > 0 && AFTER_ADDRESS.includes(found.charAt(length - 1))) length--
  if (!silent) state.pending += found.slice(0, length)
  state.pos += length
  return length > 0
})
// The first text has it compile its rules: not one whose reading may be ended in the middle of that.
parser.parse('a', {})

/**
 * Markdown as models write it (CommonMark with GitHub's tables, strikethrough and task lists) as Telegram shows it. What
 * Telegram has no form for becomes text: a heading is bold, a list has its bullets, a table is set in columns. Markup
 * that is not complete, such as while an answer is still being written, stays as it is written; so does all of what is
 * too long, nested too deep, made to be read for longer than `LONGEST_MS`, or would become far longer than it is.
 */
export function renderMarkdown(markdown: string): Formatted {
  if (markdown.length > MOST_MARKDOWN) return plain(markdown)
  try {
    return withDeadline(LONGEST_MS, () => render(markdown)) ?? plain(markdown)
  } catch (error) {
    if (error instanceof TooMuchText || isLate(error)) return plain(markdown)
    throw error
  }
}

/** Undefined when it is nested too deep. */
function render(markdown: string): Formatted | undefined {
  const tokens = parser.parse(markdown, {})
  // What lies deeper has been left out.
  if (tokens.some(({ nesting, level }) => nesting === 1 && level + 1 >= DEEPEST)) return undefined
  return new MarkdownRenderer().render(tokens)
}
