import { randomUUID } from 'node:crypto'
import { readdir, rename } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { deleteTree } from './delete-tree.js'
import { errnoOf } from './errno.js'

/**
 * Where folders go that are to be deleted. Moving one here is one step that no crash can cut in half; deleting it takes
 * as long as its owner has made it take, so that is done beside everything else, and gone on with by the next process.
 */
export class Trash {
  readonly #folder: string
  readonly #closing = new AbortController()
  readonly #underWay = new Set<Promise<unknown>>()

  constructor(folder: string) {
    this.#folder = folder
  }

  /** Moves a folder here and returns its name here; undefined when there is no such folder. */
  async take(path: string): Promise<string | undefined> {
    const name = `${basename(path)}.${randomUUID()}`
    try {
      await rename(path, join(this.#folder, name))
      return name
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined
      throw error
    }
  }

  /** Moves a folder here and deletes it beside everything else. What cannot be deleted is told of at the next start. */
  async throwAway(path: string): Promise<void> {
    const name = await this.take(path)
    if (name !== undefined) void this.delete(name)
  }

  /** Deletes what was taken; returns what could not be deleted, as paths in the trash. Rejects when `close` interrupts it. */
  delete(name: string): Promise<string[]> {
    return this.#follow(this.#delete(name))
  }

  /** Begins to delete, one after the other, what earlier processes have left. `tell` hears what cannot be deleted. */
  async resume(tell: (leftBehind: readonly string[]) => void): Promise<void> {
    const names = await readdir(this.#folder)
    const all = async (): Promise<void> => {
      for (const name of names) {
        const leftBehind = await this.#delete(name)
        if (leftBehind.length > 0) tell(leftBehind)
      }
    }
    void this.#follow(all())
  }

  /** Interrupts what is under way: the next process goes on. */
  async close(reason: Error): Promise<void> {
    this.#closing.abort(reason)
    await Promise.allSettled(this.#underWay)
  }

  async #delete(name: string): Promise<string[]> {
    const { signal } = this.#closing
    signal.throwIfAborted()
    try {
      const leftBehind = await deleteTree(join(this.#folder, name), { signal })
      return leftBehind.map((left) => join(name, left))
    } catch (error) {
      signal.throwIfAborted()
      // Not even a folder that can be opened: it is left behind as a whole.
      if (errnoOf(error) === undefined) throw error
      return [name]
    }
  }

  #follow<T>(work: Promise<T>): Promise<T> {
    this.#underWay.add(work)
    const done = (): void => void this.#underWay.delete(work)
    work.then(done, done)
    return work
  }
}
