import { lstatSync, type Stats } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { Folder } from './beneath.js'
import { namesOf } from './folder-names.js'

const MAX_INODES = 1_000_000
const MAX_MS = 10_000
const MAX_DEPTH = 128
/** What stat counts blocks in, whatever the file system's own. */
const BLOCK = 512

export interface Usage {
  /** Of the blocks taken, so that a sparse file counts for what it costs. */
  bytes: number
  inodes: number
  /** False when not all was counted: over a million inodes, 128 folders deep, 10 seconds, or closed to this process. */
  complete: boolean
}

/** Adds up what a workspace takes on the disk. A file with several names counts once. */
export async function usageOf(directory: string, signal: AbortSignal | undefined): Promise<Usage> {
  using root = Folder.root(directory)
  const count = new UsageCount(signal)
  count.add(root.stat())
  await count.visit(root, 0)
  return { bytes: count.bytes, inodes: count.inodes, complete: count.complete }
}

class UsageCount {
  readonly #signal: AbortSignal | undefined
  readonly #deadline = performance.now() + MAX_MS
  readonly #linked = new Set<string>()
  bytes = 0
  inodes = 0
  complete = true

  constructor(signal: AbortSignal | undefined) {
    this.#signal = signal
  }

  add(stats: Stats): void {
    if (stats.nlink > 1 && !stats.isDirectory()) {
      const identity = `${stats.dev}:${stats.ino}`
      if (this.#linked.has(identity)) return
      this.#linked.add(identity)
    }
    this.inodes++
    this.bytes += (stats.blocks ?? 0) * BLOCK
  }

  async visit(folder: Folder, depth: number): Promise<void> {
    const prefix = Buffer.from(`${folder.location}/`)
    for await (const { bytes, name } of namesOf(folder)) {
      this.#signal?.throwIfAborted()
      if (this.inodes >= MAX_INODES || performance.now() > this.#deadline) {
        this.complete = false
        return
      }
      if (this.inodes % 1000 === 999) await setImmediate()
      const stats = lstatSync(Buffer.concat([prefix, bytes]), { throwIfNoEntry: false })
      if (!stats) continue
      this.add(stats)
      if (!stats.isDirectory()) continue
      if (name === undefined || depth === MAX_DEPTH) this.complete = false
      else await this.#enter(folder, name, depth + 1)
    }
  }

  async #enter(parent: Folder, name: string, depth: number): Promise<void> {
    try {
      using folder = parent.enter(name)
      await this.visit(folder, depth)
    } catch {
      this.#signal?.throwIfAborted()
      // Gone, replaced or closed to this process since it was listed: its content is not counted.
      this.complete = false
    }
  }
}
