import { randomUUID } from 'node:crypto'
import { basename, dirname } from 'node:path'
import type { DurableFiles } from '../../src/mailbox/durable-files.js'

interface File {
  text: string
}

/** A change to the names in one folder that the disk does not keep yet. */
interface Change {
  readonly folder: string
  readonly name: string
  /** Undefined: the name goes. */
  readonly file: File | undefined
  /** Steps that one rename is made of: the first is never kept later than the second. */
  readonly rename?: string
}

type Names = Map<string, File>

/**
 * A disk that forgets what it was not told to keep: after a power cut each change of names since the last `syncFolder` may
 * have been kept or not, whatever their order.
 */
export class ModelDisk {
  readonly #folders = new Map<string, Names>()
  readonly #kept = new Map<string, Names>()
  #changes: Change[] = []

  /** What is written is kept at once: `write` syncs it. */

  readonly files: DurableFiles = {
    list: async (folder) => [...(this.#folders.get(folder)?.keys() ?? [])],
    write: async (path, text) => {
      if (this.#find(path)) throw errno('EEXIST')
      this.#change(path, { text })
    },
    read: async (path) => this.#find(path)?.text,
    link: async (from, to) => {
      if (this.#find(to)) throw errno('EEXIST')
      this.#change(to, this.#get(from))
    },
    rename: async (from, to) => {
      const file = this.#get(from)
      const rename = randomUUID()
      this.#change(to, file, rename)
      this.#change(from, undefined, rename)
    },
    unlink: async (path) => {
      if (this.#find(path)) this.#change(path, undefined)
      return true
    },
    empty: async (path) => {
      this.#get(path).text = ''
    },
    makeFolder: async (path) => {
      if (!this.#folders.has(path)) this.#folders.set(path, new Map())
    },
    syncFolder: async (folder) => {
      if (!this.#folders.has(folder)) throw errno('ENOENT')
      this.#keep((change) => change.folder === folder)
    },
  }

  /** What is there after a power cut. `chance` says of each unkept change whether it was kept all the same. */
  powerCut(chance: () => boolean): void {
    const lost = new Set<string>()
    this.#keep(({ rename }) => {
      const kept = chance() && !(rename !== undefined && lost.has(rename))
      if (!kept && rename !== undefined) lost.add(rename)
      return kept
    })
    this.#changes = []
    for (const [folder, names] of this.#folders) {
      names.clear()
      for (const [name, file] of this.#kept.get(folder) ?? []) names.set(name, file)
    }
  }

  names(folder: string): string[] {
    return [...(this.#folders.get(folder)?.keys() ?? [])].sort()
  }

  #find(path: string): File | undefined {
    return this.#folders.get(dirname(path))?.get(basename(path))
  }

  #get(path: string): File {
    const file = this.#find(path)
    if (!file) throw errno('ENOENT')
    return file
  }

  #change(path: string, file: File | undefined, rename?: string): void {
    const folder = dirname(path)
    const name = basename(path)
    const names = this.#folders.get(folder)
    if (!names) throw errno('ENOENT')
    if (file) names.set(name, file)
    else names.delete(name)
    this.#changes.push({ folder, name, file, ...(rename === undefined ? {} : { rename }) })
  }

  #keep(which: (change: Change) => boolean): void {
    const left: Change[] = []
    for (const change of this.#changes) {
      if (!which(change)) {
        left.push(change)
        continue
      }
      const names = this.#kept.get(change.folder) ?? (new Map() as Names)
      this.#kept.set(change.folder, names)
      if (change.file) names.set(change.name, change.file)
      else names.delete(change.name)
    }
    this.#changes = left
  }
}

function errno(code: string): Error {
  return Object.assign(new Error(code), { code })
}
