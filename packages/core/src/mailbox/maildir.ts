import { randomUUID } from 'node:crypto'
import { dirname, join } from 'node:path'
import { errnoOf } from '../errno.js'
import type { DurableFiles } from './durable-files.js'
import { type Folder, type Listing, type Misplaced, type Place, readListing } from './listing.js'
import { type DoneEntry, doneNameOf, type Entry, nameOf, parseName } from './message-name.js'

/** A message to be stored: its name, and what its file holds. */
export interface Letter {
  readonly entry: Entry
  readonly text: string
}

const FOLDERS = ['tmp', 'new', 'failed', 'done'] as const satisfies Place[]
/** Where goes what the mailbox did not put there, or cannot read. */
const ASIDE = 'aside'

/**
 * One tenant's mailbox on disk. A message is a file that moves: written in `tmp`, linked into `new`, in the end renamed
 * into `done` (and emptied) or `failed`. Each move is one step: a crash leaves it undone or done.
 */
export class Maildir {
  readonly #root: string
  readonly #files: DurableFiles

  constructor(root: string, files: DurableFiles) {
    this.#root = root
    this.#files = files
  }

  /** How many messages are in a folder. */
  async count(folder: 'new' | 'failed'): Promise<number> {
    const names = await this.#files.list(this.#folder(folder))
    return names.filter((name) => parseName(name)).length
  }

  /** Lists it all, and clears away what a crash has left. */
  async list(): Promise<Listing> {
    const [tmp = [], waiting = [], failed = [], done = []] = await Promise.all(
      FOLDERS.map((folder) => this.#files.list(this.#folder(folder))),
    )
    // A process that was killed may have left moves that the disk does not keep yet: of two folders it could keep one.
    for (const [folder, names] of Object.entries({ new: waiting, failed, done }))
      if (names.length > 0) await this.#files.syncFolder(join(this.#root, folder))
    const listing = readListing({ new: waiting, failed, done })
    const unfinished = tmp.map((name) => ({ folder: 'tmp' as const, name }))
    const undeletable: Misplaced[] = []
    for (const one of [...unfinished, ...listing.leftover])
      if (!(await this.#files.unlink(this.#path(one.folder, one.name)))) undeletable.push(one)
    return { ...listing, foreign: [...listing.foreign, ...undeletable] }
  }

  /** Makes its folders where they are missing. */
  async make(): Promise<void> {
    await this.#files.makeFolder(this.#root)
    for (const folder of ['new', 'failed', 'done'] as const)
      await this.#files.makeFolder(this.#folder(folder))
    await this.#files.syncFolder(this.#root)
    await this.#files.syncFolder(dirname(this.#root))
    // The last: where it is, the others are.
    await this.#files.makeFolder(this.#folder('tmp'))
  }

  /** Stores messages in their order. Returns why which of them are not; nothing is left of those. */
  async store(letters: readonly Letter[]): Promise<ReadonlyMap<Letter, unknown>> {
    const failures = new Map<Letter, unknown>()
    const each = async (letter: Letter, step: () => Promise<void>): Promise<void> => {
      if (failures.has(letter)) return
      try {
        await step()
      } catch (cause) {
        failures.set(letter, cause)
      }
    }
    await Promise.all(
      letters.map((letter) => each(letter, () => this.#files.write(this.#temporary(letter), letter.text))),
    )
    for (const letter of letters)
      await each(letter, () =>
        this.#files.link(this.#temporary(letter), this.#path('new', nameOf(letter.entry))),
      )
    const written = letters.filter((letter) => !failures.has(letter))
    const [kept] = await Promise.allSettled([
      this.#files.syncFolder(this.#folder('new')),
      // What stays is cleared away by the next listing.
      ...letters.map((letter) => this.#files.unlink(this.#temporary(letter))),
    ])
    if (kept?.status !== 'rejected') return failures
    for (const letter of written) failures.set(letter, kept.reason)
    await Promise.allSettled(written.map(({ entry }) => this.#files.unlink(this.#path('new', nameOf(entry)))))
    return failures
  }

  /** Undefined for what is no message's file. */
  read(entry: Entry, maxBytes: number): Promise<string | undefined> {
    return this.#files.read(this.#path('new', nameOf(entry)), maxBytes)
  }

  /** Changes the count of attempts. */
  async recount(entry: Entry, attempts: number): Promise<Entry> {
    const recounted = { ...entry, attempts }
    await this.#move('new', nameOf(entry), 'new', nameOf(recounted))
    return recounted
  }

  async fail(entry: Entry): Promise<void> {
    await this.#move('new', nameOf(entry), 'failed', nameOf(entry))
  }

  /** To be tried again, as if for the first time. */
  async revive(entry: Entry): Promise<Entry> {
    const revived = { ...entry, attempts: 0 }
    await this.#move('failed', nameOf(entry), 'new', nameOf(revived))
    return revived
  }

  /** From here on only its name is kept. */
  async finish(entry: Entry, done: DoneEntry): Promise<void> {
    const name = doneNameOf(done)
    await this.#move('new', nameOf(entry), 'done', name)
    await this.#files.empty(this.#path('done', name))
  }

  /** False for a folder that has the name of a handled message. */
  forget(done: DoneEntry): Promise<boolean> {
    return this.#files.unlink(this.#path('done', doneNameOf(done)))
  }

  /** Moves a file out of the way, and returns where to; undefined when it has gone by itself. */
  async setAside({ folder, name }: Misplaced): Promise<string | undefined> {
    const aside = await this.#makeAside()
    const path = join(aside, `${randomUUID()}.${name.slice(0, 64)}`)
    try {
      await this.#files.rename(this.#path(folder, name), path)
      return path
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined
      throw error
    }
  }

  async #makeAside(): Promise<string> {
    const aside = join(this.#root, ASIDE)
    try {
      await this.#files.makeFolder(aside)
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error
      // Whatever has its name gets another.
      await this.#files.rename(aside, `${aside}.${randomUUID()}`)
      await this.#files.makeFolder(aside)
    }
    return aside
  }

  async #move(from: Folder, name: string, to: Folder, as: string): Promise<void> {
    await this.#files.rename(this.#path(from, name), this.#path(to, as))
    await this.#files.syncFolder(this.#folder(to))
  }

  #folder(folder: Place): string {
    return join(this.#root, folder)
  }

  #path(folder: Place, name: string): string {
    return join(this.#folder(folder), name)
  }

  #temporary({ entry }: Letter): string {
    return join(this.#folder('tmp'), nameOf(entry))
  }
}
