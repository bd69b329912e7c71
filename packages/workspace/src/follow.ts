import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { Allowance } from './allowance.js'
import type { SessionEntry } from './entry.js'
import { FileChanges } from './file-changes.js'
import type { HeldFile } from './held-file.js'
import type { Json } from './json.js'
import { endOfLines, LINE_LIMIT, linesBackward, linesForward } from './line-reader.js'
import type { OnProblem } from './problem.js'
import { openSession, SESSION_FILE } from './session-file.js'
import { EntryParser, entryIn } from './session-reader.js'
import { Slice } from './turns.js'
import { untilAborted } from './until-aborted.js'

const NEWLINE = 0x0a
const NOTHING: Buffer = Buffer.alloc(0)

/**
 * A place in the session between two lines. It is found again in a file that has become another one meanwhile: by the
 * line before it.
 */
export interface Position {
  readonly offset: number
  /** The line before it, with its newline; empty at the beginning. */
  readonly anchor: Buffer
}

/** The end of the session as it is now, synchronously: nothing that is appended after this call is missed. */
export function positionOf(directory: string): Position {
  using file = openSession(directory)
  if (!file) return { offset: 0, anchor: NOTHING }
  for (const size of [8 * 1024, 2 * LINE_LIMIT]) {
    const start = Math.max(0, file.stats.size - size)
    const block = Buffer.alloc(file.stats.size - start)
    const bytes = block.subarray(0, file.readSync(block, start))
    const end = bytes.lastIndexOf(NEWLINE) + 1
    const before = end > 1 ? bytes.lastIndexOf(NEWLINE, end - 2) + 1 : 0
    if (before > 0 || start === 0) return { offset: start + end, anchor: bytes.subarray(before, end) }
  }
  // Lines too long to be any: there is nothing to hold on to but the place.
  return { offset: file.stats.size, anchor: NOTHING }
}

export function followEntries(
  directory: string,
  from: Position,
  outer: AbortSignal | undefined,
  schema: StandardSchemaV1<Json, Json> | undefined,
  onProblem: OnProblem,
): AsyncIterable<SessionEntry> {
  return untilAborted(async function* (signal) {
    using changes = new FileChanges(directory, SESSION_FILE, signal)
    const parser = new EntryParser(schema, onProblem)
    const { allowance } = parser
    const slice = new Slice()
    let position = from
    while (!signal.aborted) {
      using file = openSession(directory)
      if (file) {
        const start = await findAgain(file, position, allowance)
        const end = await endOfLines(file, { start, allowance })
        if (start !== position.offset) position = { ...position, offset: start }
        for await (const lines of linesForward(file, { start, end, allowance }))
          for (const line of lines) {
            const entry = await parser.parse(line)
            if ('text' in line) position = after(line.offset, line.text)
            if (entry) {
              allowance.renew()
              yield entry
            } else if (slice.isOver) await slice.next()
            if (signal.aborted) return
          }
        // What came last was no line to hold on to.
        if (position.offset < end) position = { offset: end, anchor: NOTHING }
      }
      await changes.next()
    }
  }, outer)
}

function after(offset: number, text: string): Position {
  const anchor = Buffer.from(`${text}\n`)
  return { offset: offset + anchor.length, anchor }
}

/** Where to go on: at the same place, or else behind the last such line, or else at the beginning of what is new. */
async function findAgain(
  file: HeldFile,
  { offset, anchor }: Position,
  allowance: Allowance,
): Promise<number> {
  const size = file.size()
  if (anchor.length === 0) return offset <= size ? offset : 0
  if (offset <= size) {
    const block = Buffer.alloc(anchor.length)
    if ((await file.read(block, offset - anchor.length)) === anchor.length && block.equals(anchor))
      return offset
  }
  const slice = new Slice()
  const wanted = anchor.toString('utf8').slice(0, -1)
  for await (const lines of linesBackward(file, { allowance }))
    for (const line of lines) {
      if ('text' in line && line.text === wanted) return line.offset + Buffer.byteLength(line.text) + 1
      entryIn(line, allowance)
      if (slice.isOver) await slice.next()
    }
  return 0
}
