import { createHash } from 'node:crypto'
import { mkdir, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join, parse } from 'node:path'
import type { Clock } from '@tenantbox/core'
import type { Update } from 'grammy/types'

/** A message that is part of an album. */
export interface Part {
  readonly tenant: string
  readonly group: string
  readonly update: Update
}

const WAITING = '.json'
const POSTED = '.posted'
/** As long as a mailbox knows what it has handled, and Telegram brings again what was not confirmed. */
const KNOWN_MS = 24 * 60 * 60_000
/** However many come within that time. */
const MOST_KNOWN = 10_000

/**
 * The parts of albums on the disk: what they say until they are in the tenant's mailbox, and after that only that they
 * came, as the mailbox knows an album by its first part alone.
 */
export class AlbumSpool {
  readonly #directory: string
  readonly #clock: Clock
  /** When each was posted, the first first. */
  readonly #known = new Map<string, number>()

  constructor(directory: string, clock: Clock) {
    this.#directory = directory
    this.#clock = clock
  }

  /** What an earlier process has left. */
  async load(): Promise<Part[]> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 })
    const files = (await readdir(this.#directory)).map((file) => parse(file))
    const posted = files.filter(({ ext }) => ext === POSTED)
    const times = await Promise.all(
      posted.map(async ({ name, base }) => [name, await this.#timeOf(base)] as const),
    )
    for (const [name, at] of times.sort(([, one], [, other]) => one - other)) this.#known.set(name, at)
    await this.#expire()
    const parts: Part[] = []
    for (const { base } of files.filter(({ ext }) => ext === WAITING)) {
      const part = partOf(await readFile(join(this.#directory, base), 'utf8'))
      if (part && !this.knows(part)) parts.push(part)
      else await rm(join(this.#directory, base))
    }
    return parts
  }

  /** Whether it was posted. */
  knows(part: Part): boolean {
    return this.#known.has(nameOf(part))
  }

  /** Resolves once it is durable. */
  async keep(part: Part): Promise<void> {
    await using file = await open(this.#pathOf(part, WAITING), 'w', 0o600)
    await file.writeFile(JSON.stringify(part))
    await file.sync()
    await this.#sync()
  }

  /**
   * An album is in the mailbox, which knows it by its first part. Whatever a power cut leaves of this, that part comes again
   * if any does: it is marked after the others, and what they say goes after all marks.
   */
  async posted([first, ...others]: readonly [Part, ...Part[]]): Promise<void> {
    if (others.length > 0) await this.#mark(others)
    await this.#mark([first])
    for (const part of [first, ...others]) await rm(this.#pathOf(part, WAITING), { force: true })
    await this.#expire()
  }

  /** Resolves once it is durable. */
  async #mark(parts: readonly Part[]): Promise<void> {
    for (const part of parts) await writeFile(this.#pathOf(part, POSTED), '', { mode: 0o600 })
    await this.#sync()
    for (const part of parts) this.#known.set(nameOf(part), this.#clock.now())
  }

  async #sync(): Promise<void> {
    await using directory = await open(this.#directory)
    await directory.sync()
  }

  async #expire(): Promise<void> {
    const since = this.#clock.now() - KNOWN_MS
    for (const [name, at] of this.#known) {
      if (at > since && this.#known.size <= MOST_KNOWN) break
      await rm(join(this.#directory, name + POSTED), { force: true })
      this.#known.delete(name)
    }
  }

  async #timeOf(file: string): Promise<number> {
    return (await stat(join(this.#directory, file))).mtimeMs
  }

  #pathOf(part: Part, extension: string): string {
    return join(this.#directory, nameOf(part) + extension)
  }
}

/** Two bots may number their updates alike. */
function nameOf({ tenant, group, update }: Part): string {
  const album = createHash('sha256')
    .update(JSON.stringify([tenant, group]))
    .digest('hex')
  return `${update.update_id}-${album.slice(0, 32)}`
}

/** Undefined for what a power cut has left of one that was not confirmed. */
function partOf(text: string): Part | undefined {
  try {
    return JSON.parse(text) as Part
  } catch {
    return undefined
  }
}
