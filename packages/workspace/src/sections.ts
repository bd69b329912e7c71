import { invalidOption } from './errors.js'
import { type Heading, headingOf, type Outline, outlineOf } from './markdown.js'
import { forEachInTurns } from './turns.js'

export interface Section {
  /** Its heading as plain text, without markup. */
  heading: string
  /** 1 to 6. */
  depth: number
  /** What stands between its heading and the next of the same or a higher rank: sub-sections included. */
  text: string
}

const NEW_SECTION_DEPTH = 2

export async function sectionsOf(document: string): Promise<Section[]> {
  const { headings } = await outlineOf(document)
  /** By depth, where a section of that depth ends that stands before those looked at so far. */
  const ends = Array<number>(7).fill(document.length)
  const sections: Section[] = []
  await forEachInTurns(headings.toReversed(), ({ text, depth, start, end }) => {
    sections.push({ heading: text, depth, text: trimBlankLines(document.slice(end, ends[depth])) })
    ends.fill(start, depth)
  })
  return sections.reverse()
}

/**
 * Adds `text` as new lines to the first section with that heading, before its sub-sections; makes the section, at the
 * end and with rank 2, if it is missing.
 */
export async function appendToSection(document: string, heading: string, text: string): Promise<string> {
  const newline = document.includes('\r\n') ? '\r\n' : '\n'
  const addition = text.replace(/\r\n|\r|\n/g, newline).trimEnd()
  if (addition === '') return document
  const outline = await outlineOf(document)
  const index = outline.headings.findIndex((found) => found.text === heading)
  const found = outline.headings[index]
  return found
    ? addLines(document, outline, index, found, addition, newline)
    : addSection(document, outline, heading, addition, newline)
}

async function addLines(
  document: string,
  outline: Outline,
  index: number,
  heading: Heading,
  addition: string,
  newline: string,
): Promise<string> {
  const ownEnd = outline.headings[index + 1]?.start ?? document.length
  const own = document.slice(heading.end, ownEnd).trimEnd()
  const rest = document.slice(ownEnd)
  const title = document.slice(0, heading.end).trimEnd()
  const before = own === '' ? title : `${title}${newline}${own}`
  const fence = ownEnd === document.length ? openFence(outline, newline) : ''
  const compose = (gap: string) =>
    `${before}${fence}${gap}${addition}${newline}${rest === '' ? '' : newline + rest}`
  const close = compose(newline)
  const apart = compose(newline + newline)
  // Directly below a paragraph, a line such as `---` would make a heading of that paragraph.
  return own !== '' && (await sameRanks(close, apart)) ? close : apart
}

async function addSection(
  document: string,
  outline: Outline,
  heading: string,
  addition: string,
  newline: string,
): Promise<string> {
  const section = `${headingLine(heading)}${newline}${newline}${addition}${newline}`
  if (document.trim() === '') return section
  const atEnd = `${document.trimEnd()}${openFence(outline, newline)}${newline}${newline}${section}`
  const { headings } = await outlineOf(atEnd)
  if (headings[outline.headings.length]?.text === heading) return atEnd
  // An HTML block that was left open would swallow it, so it goes before that.
  const start = outline.last?.start ?? 0
  return `${document.slice(0, start)}${section}${newline}${document.slice(start)}`
}

function openFence(outline: Outline, newline: string): string {
  return outline.last?.missingFence === undefined ? '' : newline + outline.last.missingFence
}

async function sameRanks(one: string, other: string): Promise<boolean> {
  const [left, right] = [await outlineOf(one), await outlineOf(other)]
  const ranks = ({ headings }: Outline) => headings.map(({ depth, text }) => `${depth} ${text}`).join('\n')
  return ranks(left) === ranks(right)
}

/** The line that reads back as exactly this heading, with its punctuation escaped where it would be markup. */
function headingLine(heading: string): string {
  const marks = '#'.repeat(NEW_SECTION_DEPTH)
  for (const text of [heading, heading.replace(/[!-/:-@[-`{-~]/g, '\\$&')]) {
    const line = `${marks} ${text}`
    if (heading !== '' && headingOf(line) === heading && !/[\r\n]/.test(heading)) return line
  }
  throw invalidOption(
    'heading',
    'a single line of at most 900 characters without blanks at its ends',
    heading,
  )
}

function trimBlankLines(text: string): string {
  return text.replace(/^(?:[ \t]*(?:\r\n|\n|\r))+/, '').trimEnd()
}
