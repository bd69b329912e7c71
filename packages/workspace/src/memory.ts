import { isUtf8 } from 'node:buffer'
import { invalidOption } from './errors.js'
import type { OnProblem } from './problem.js'
import { appendToSection, type Section, sectionsOf } from './sections.js'
import { VersionedFile } from './versioned-file.js'

const MEMORY_FILE = 'MEMORY.md'
const MEMORY_LIMIT = 1024 * 1024

/** What is remembered of a tenant, as Markdown in `MEMORY.md`. */
export class Memory {
  readonly #file: VersionedFile
  readonly #onProblem: OnProblem

  constructor(directory: string, onProblem: OnProblem) {
    this.#file = new VersionedFile(directory, MEMORY_FILE, MEMORY_LIMIT)
    this.#onProblem = onProblem
  }

  /** The whole text, and the version to give to `write`. A missing file is an empty one. */
  async read(): Promise<{ text: string; version: string }> {
    const { bytes, version } = await this.#file.read()
    return { text: this.#decode(bytes), version }
  }

  /**
   * Reads, changes, compares and replaces; when somebody else has changed the file in between, `change` is called again
   * with the new text.
   */
  async edit(change: (text: string) => string): Promise<void> {
    await this.#file.edit((bytes) => encode(change(this.#decode(bytes))))
  }

  /**
   * Replaces the whole text in one step: a crash or a full disk leaves the old text.
   *
   * @throws WorkspaceError `VERSION_CONFLICT` when the file no longer is `ifVersion`; `TOO_LARGE` over 1 MiB
   */
  async write(text: string, options: { ifVersion?: string } = {}): Promise<{ version: string }> {
    return this.#file.replace(encode(text), options.ifVersion)
  }

  /** Every section in order. The text of one includes its sub-sections, which follow as sections of their own. */
  async sections(): Promise<readonly Section[]> {
    return sectionsOf((await this.read()).text)
  }

  /** The text of the first section with that heading. */
  async section(heading: string): Promise<string | undefined> {
    return (await this.sections()).find((section) => section.heading === heading)?.text
  }

  /** Adds `text` to a section, on a line of its own; makes the section if it is missing. */
  async append(heading: string, text: string): Promise<void> {
    await this.#file.edit(async (bytes) => encode(await appendToSection(this.#decode(bytes), heading, text)))
  }

  #decode(bytes: Buffer): string {
    if (!isUtf8(bytes))
      this.#onProblem({
        file: MEMORY_FILE,
        message: 'The file is not valid UTF-8; each invalid byte is read as U+FFFD.',
      })
    // TextDecoder also drops a byte order mark.
    return new TextDecoder().decode(bytes)
  }
}

function encode(text: string): Buffer {
  if (typeof text !== 'string') throw invalidOption('text', 'a string', text)
  return Buffer.from(text)
}
