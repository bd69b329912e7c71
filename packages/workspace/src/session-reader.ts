import type { StandardSchemaV1 } from '@standard-schema/spec'
import { Allowance } from './allowance.js'
import type { SessionEntry } from './entry.js'
import { parseEntry } from './entry-check.js'
import { shown, WorkspaceError } from './errors.js'
import type { HeldFile } from './held-file.js'
import type { Json } from './json.js'
import { endOfLines, type Line, linesBackward, linesForward } from './line-reader.js'
import { type OnProblem, ProblemReport } from './problem.js'
import { checkWith } from './schema.js'
import { openSession, SESSION_FILE } from './session-file.js'
import { forEachInTurns, Slice } from './turns.js'

export interface ReadOptions {
  /** From the last entry to the first. @default false */
  reverse?: boolean
  /** The id of the entry to begin with, or an ISO 8601 time: then the first entry, in that direction, of that time. */
  from?: string
  /** Only the entries of one conversation. */
  thread?: string
}

/** Turns lines into entries, and reports those that are none. */
export class EntryParser {
  /** For what it is given to parse. */
  readonly allowance = new Allowance()
  readonly #schema: StandardSchemaV1<Json, Json> | undefined
  readonly #report: ProblemReport

  constructor(schema: StandardSchemaV1<Json, Json> | undefined, onProblem: OnProblem) {
    this.#schema = schema
    this.#report = new ProblemReport(onProblem)
  }

  /** A promise only where the app's schema has to be asked. */
  parse(line: Line): SessionEntry | undefined | Promise<SessionEntry | undefined> {
    if ('fault' in line) return this.#reject(line.offset, line.fault)
    const parsed = parseEntry(line.text)
    if ('fault' in parsed) return this.#reject(line.offset, parsed.fault)
    this.allowance.giveBack(line.text)
    const { entry } = parsed
    return this.#schema && entry.meta !== undefined ? this.#checked(entry, entry.meta, line.offset) : entry
  }

  /** Reports a last line without its newline, and says where the others end. */
  async completeEnd(file: HeldFile): Promise<number> {
    const size = file.size()
    const end = await endOfLines(file, { end: size, allowance: this.allowance })
    if (end < size) this.#reject(end, 'torn, its newline is missing; the next append ends it')
    return end
  }

  async #checked(entry: SessionEntry, meta: Json, offset: number): Promise<SessionEntry | undefined> {
    const checked = await checkWith(this.#schema, meta)
    if ('fault' in checked) return this.#reject(offset, `meta ${checked.fault}`)
    return { ...entry, meta: checked.value }
  }

  #reject(offset: number, fault: string): undefined {
    this.allowance.refuse()
    this.#report.add({
      file: SESSION_FILE,
      offset,
      message: `The line at byte ${offset} is passed over: ${fault}.`,
    })
  }
}

/** The entries of a session, a block's worth at a time. */
export async function* readEntries(
  directory: string,
  options: ReadOptions,
  schema: StandardSchemaV1<Json, Json> | undefined,
  onProblem: OnProblem,
): AsyncGenerator<readonly SessionEntry[]> {
  const { reverse = false, from, thread } = options
  using file = openSession(directory)
  const parser = new EntryParser(schema, onProblem)
  const begins = from === undefined ? () => true : beginsAt(from, reverse)
  let begun = from === undefined
  const slice = new Slice()
  if (file) {
    const end = await parser.completeEnd(file)
    const range = { end, allowance: parser.allowance }
    for await (const lines of reverse ? linesBackward(file, range) : linesForward(file, range)) {
      const entries: SessionEntry[] = []
      for (const line of lines) {
        const parsed = parser.parse(line)
        const entry = parsed instanceof Promise ? await parsed : parsed
        begun ||= entry !== undefined && begins(entry)
        if (entry && begun && (thread === undefined || entry.thread === thread)) entries.push(entry)
        else if (slice.isOver) await slice.next()
      }
      yield entries
    }
  }
  if (from !== undefined && !begun && timeOf(from) === undefined) throw noEntry(from)
}

/** The byte at which the entry with that id, or the first of that time or later, begins. */
export async function findEntry(
  file: HeldFile,
  wanted: string,
  allowance: Allowance,
): Promise<number | undefined> {
  const time = timeOf(wanted)
  const slice = new Slice()
  let found: number | undefined
  for await (const lines of linesBackward(file, { allowance }))
    for (const line of lines) {
      if (slice.isOver) await slice.next()
      const entry = entryIn(line, allowance)
      if (entry?.id === wanted) return line.offset
      if (entry && time !== undefined && Date.parse(entry.at) >= time) found = line.offset
    }
  return found
}

/** How many entries stand before a byte. */
export async function countEntries(file: HeldFile, end: number, allowance: Allowance): Promise<number> {
  let count = 0
  for await (const lines of linesForward(file, { end, allowance }))
    await forEachInTurns(lines, (line) => {
      if (entryIn(line, allowance)) count++
    })
  return count
}

/** The entry that a line is, as it stands there; undefined for what is none. */
export function entryIn(line: Line, allowance: Allowance): SessionEntry | undefined {
  const parsed = 'text' in line ? parseEntry(line.text) : line
  if ('entry' in parsed && 'text' in line) {
    allowance.giveBack(line.text)
    return parsed.entry
  }
  allowance.refuse()
  return undefined
}

function beginsAt(from: string, reverse: boolean): (entry: SessionEntry) => boolean {
  const time = timeOf(from)
  return ({ id, at }) => {
    if (id === from) return true
    if (time === undefined) return false
    return reverse ? Date.parse(at) <= time : Date.parse(at) >= time
  }
}

/** A time with an offset; anything else can only be an id. */
function timeOf(text: string): number | undefined {
  return /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/.test(text)
    ? Date.parse(text)
    : undefined
}

function noEntry(from: string): WorkspaceError<'NOT_FOUND'> {
  return new WorkspaceError('NOT_FOUND', `${SESSION_FILE} has no entry ${shown(from)}.`, {
    path: SESSION_FILE,
  })
}
