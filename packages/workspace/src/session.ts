import type { StandardSchemaV1 } from '@standard-schema/spec'
import { appendLine } from './append-line.js'
import { archiveBefore } from './archive.js'
import { composeEntry } from './compose-entry.js'
import type { NewEntry, SessionEntry } from './entry.js'
import { invalidOption } from './errors.js'
import { followEntries, positionOf } from './follow.js'
import type { Json } from './json.js'
import { oneByOne } from './one-by-one.js'
import type { OnProblem } from './problem.js'
import { type ReadOptions, readEntries } from './session-reader.js'

/** What was said, entry by entry, in `session.jsonl`. */
export class Session<M extends Json = Json> {
  readonly #directory: string
  readonly #schema: StandardSchemaV1<Json, Json> | undefined
  readonly #onProblem: OnProblem
  #appended: Promise<unknown> = Promise.resolve()

  constructor(directory: string, schema: StandardSchemaV1<Json, Json> | undefined, onProblem: OnProblem) {
    this.#directory = directory
    this.#schema = schema
    this.#onProblem = onProblem
  }

  /**
   * Adds an entry by a single write, so that entries of several processes never mix; in the order of the calls within
   * this object. Resolves with the entry as it now stands in the file, `id` and `at` filled in. It has then reached the
   * system, not necessarily the disk.
   *
   * @throws WorkspaceError `INVALID_ENTRY`; `TOO_LARGE` for more than 256 KiB as a line: put it in a file, and a `file`
   * part into the entry; `NO_SPACE`
   */
  append(entry: NewEntry<M>): Promise<SessionEntry<M>> {
    const composed = composeEntry(entry as NewEntry, this.#schema)
    const appended = Promise.all([composed, this.#appended]).then(async ([{ line, entry }]) => {
      await appendLine(this.#directory, line, this.#onProblem)
      return entry as SessionEntry<M>
    })
    // The caller gets the failure; here it only marks the end.
    this.#appended = appended.catch(() => undefined)
    return appended
  }

  /**
   * The last `n` entries, oldest first, read from the end of the file.
   *
   * @throws WorkspaceError `INVALID_FILE` when there are more than 128 MiB before them that are no entries
   */
  async tail(n: number, options: { thread?: string } = {}): Promise<readonly SessionEntry<M>[]> {
    if (!Number.isInteger(n) || n < 0) throw invalidOption('n', 'a whole number of 0 or more', n)
    const entries: SessionEntry<M>[] = []
    if (n === 0) return entries
    for await (const entry of this.entries({ ...options, reverse: true })) {
      entries.push(entry)
      if (entries.length === n) break
    }
    return entries.reverse()
  }

  /**
   * All entries as they were when the iteration began, one at a time; lines that are none are reported and passed over.
   * Throws as `tail` does.
   */
  entries(options: ReadOptions = {}): AsyncIterable<SessionEntry<M>> {
    const batches = readEntries(this.#directory, options, this.#schema, this.#onProblem)
    return oneByOne(batches) as AsyncIterable<SessionEntry<M>>
  }

  /**
   * Entries that are added from this call on, by whomever, until `signal` aborts (which ends the iteration, it does not
   * throw). Goes on across `archive` and when the file is replaced. Throws as `tail` does.
   */
  follow(options: { signal?: AbortSignal } = {}): AsyncIterable<SessionEntry<M>> {
    const position = positionOf(this.#directory)
    return followEntries(
      this.#directory,
      position,
      options.signal,
      this.#schema,
      this.#onProblem,
    ) as AsyncIterable<SessionEntry<M>>
  }

  /**
   * Moves the entries before one to a file of their own in `session-archive/`.
   *
   * @param before The id of the first entry to stay, or an ISO 8601 time: the first entry of that time or later
   * @returns the archive's path below the workspace, and how many entries it took; an empty path when there was nothing
   * before it
   * @throws WorkspaceError `NOT_FOUND` when there is no such entry; `INVALID_FILE` as `tail`
   */
  async archive(before: string): Promise<{ path: string; entries: number }> {
    return archiveBefore(this.#directory, before)
  }
}
