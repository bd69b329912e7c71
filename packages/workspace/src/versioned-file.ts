import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { openRegular } from './beneath.js'
import { busy, isWorkspaceError, shown, tooLarge, WorkspaceError } from './errors.js'
import type { HeldFile } from './held-file.js'
import { StagedFile } from './staging.js'

/** How often a change is tried anew when others change the same file. They cannot all lose every time. */
const MAX_ATTEMPTS = 200
const LONGEST_WAIT_MS = 30
const MISSING = Buffer.alloc(0)

/**
 * A file of the workspace itself that is only ever replaced as a whole, and that carries a version: the hash of its
 * content. A missing file is an empty one.
 */
export class VersionedFile {
  readonly #directory: string
  readonly #name: string
  readonly #limit: number
  #last: Promise<unknown> = Promise.resolve()

  constructor(directory: string, name: string, limit: number) {
    this.#directory = directory
    this.#name = name
    this.#limit = limit
  }

  async read(): Promise<{ bytes: Buffer; version: string }> {
    using file = this.#open()
    const bytes = file ? await file.readAll(this.#limit) : MISSING
    return { bytes, version: versionOf(bytes) }
  }

  /**
   * Replaces the file; only if it still is `ifVersion`, when that is given.
   *
   * @throws WorkspaceError `VERSION_CONFLICT`, `TOO_LARGE`, `NO_SPACE`
   */
  replace(bytes: Buffer, ifVersion?: string): Promise<{ version: string }> {
    return this.#inTurn(() => this.#replace(bytes, ifVersion))
  }

  /** Reads, changes and replaces, again and again until nobody else has changed the file in between. */
  edit(change: (bytes: Buffer) => Buffer | Promise<Buffer>): Promise<void> {
    return this.#inTurn(() => this.#edit(change))
  }

  /** Changes through this object do not compete with each other, only with those of others. */
  #inTurn<T>(change: () => Promise<T>): Promise<T> {
    const result = this.#last.then(change)
    // The caller gets the failure; here it only marks the end.
    this.#last = result.catch(() => undefined)
    return result
  }

  async #replace(bytes: Buffer, ifVersion: string | undefined): Promise<{ version: string }> {
    if (bytes.length > this.#limit)
      throw tooLarge(this.#name, bytes.length, this.#limit, 'Shorten it, or move some of it to another file.')
    for (let attempt = 1; ; attempt++) {
      await using staged = StagedFile.create(this.#directory, this.#name)
      await staged.file.writeAll(bytes)
      if (await staged.commitIf(() => this.#check(ifVersion))) return { version: versionOf(bytes) }
      await waitForOthers(attempt, this.#name)
    }
  }

  async #edit(change: (bytes: Buffer) => Buffer | Promise<Buffer>): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const { bytes, version } = await this.read()
      const changed = await change(bytes)
      if (changed.equals(bytes)) return
      try {
        await this.#replace(changed, version)
        return
      } catch (error) {
        if (!isWorkspaceError(error, 'VERSION_CONFLICT')) throw error
        await waitForOthers(attempt, this.#name)
      }
    }
  }

  #check(expected: string | undefined): void {
    using file = this.#open()
    if (expected === undefined) return
    const actual = versionOf(file ? file.readAllSync(this.#limit) : MISSING)
    if (actual === expected) return
    throw new WorkspaceError(
      'VERSION_CONFLICT',
      `${shown(this.#name)} has changed since it was read. Read it again and redo the change, or use edit().`,
      { path: this.#name, expected, actual },
    )
  }

  #open(): HeldFile | undefined {
    try {
      return openRegular(`${this.#directory}/${this.#name}`, this.#name, constants.O_RDONLY)
    } catch (error) {
      if (isWorkspaceError(error, 'NOT_FOUND')) return undefined
      throw error
    }
  }
}

function versionOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('base64url')
}

async function waitForOthers(attempt: number, name: string): Promise<void> {
  if (attempt >= MAX_ATTEMPTS) throw busy(name, MAX_ATTEMPTS)
  await delay(Math.random() * Math.min(2 ** attempt, LONGEST_WAIT_MS))
}
