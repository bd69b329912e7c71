import { randomUUID } from 'node:crypto'
import { basename, dirname } from 'node:path'
import type { DurableFiles } from '../../src/mailbox/durable-files.js'

interface File {
  text: string
  /** Whether the disk keeps what is in it. */
  kept: boolean
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

/** The disk as one process has it. */
export interface Mounted {
  readonly files: DurableFiles
  kill(): void
  readonly killed: Promise<void>
  isDead(): boolean
}

/** Where a process ends. */
export interface End {
  readonly at: number
  readonly when: 'before' | 'after'
}

/**
 * A disk that forgets what it was not told to keep: after a power cut each change of names since the last `syncFolder` may
 * have been kept or not, whatever their order. It can be cut off at any step, as a process is by `kill -9`.
 */
export class ModelDisk {
  readonly #folders = new Map<string, Names>()
  readonly #kept = new Map<string, Names>()
  #changes: Change[] = []
  /** Steps since the last restart. */
  steps = 0

  /** What a process does with it until it is killed, or comes to its end right before or after the step with that number. */
  mount(end?: End): Mounted {
    let dead = false
    let kill = (): void => undefined
    const killed = new Promise<void>((resolve) => {
      kill = () => {
        dead = true
        resolve()
      }
    })
    const die = (): Promise<never> => {
      kill()
      return forever
    }
    const forever = new Promise<never>(() => undefined)
    const step =
      <A extends unknown[], T>(work: (...args: A) => T) =>
      async (...args: A): Promise<T> => {
        if (dead) return forever
        this.steps++
        const last = this.steps === end?.at
        if (last && end.when === 'before') return die()
        const result = work(...args)
        return last ? die() : result
      }
    const files: DurableFiles = {
      list: step((folder) => [...(this.#folders.get(folder)?.keys() ?? [])]),
      write: step((path, text) => {
        if (this.#find(path)) throw errno('EEXIST')
        this.#change(path, { text, kept: true })
      }),
      read: step((path) => this.#find(path)?.text),
      link: step((from, to) => {
        if (this.#find(to)) throw errno('EEXIST')
        this.#change(to, this.#get(from))
      }),
      rename: step((from, to) => {
        const file = this.#get(from)
        const rename = randomUUID()
        this.#change(to, file, rename)
        this.#change(from, undefined, rename)
      }),
      unlink: step((path) => {
        if (this.#find(path)) this.#change(path, undefined)
      }),
      empty: step((path) => {
        this.#get(path).text = ''
      }),
      makeFolder: step((path) => {
        if (!this.#folders.has(path)) this.#folders.set(path, new Map())
      }),
      syncFolder: step((folder) => {
        if (!this.#folders.has(folder)) throw errno('ENOENT')
        this.#keep((change) => change.folder === folder)
      }),
    }
    return { files, kill, killed, isDead: () => dead }
  }

  /** What is there after `kill -9`: everything. */
  killed(): void {
    this.steps = 0
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
    this.steps = 0
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
