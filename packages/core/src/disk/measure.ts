import type { BigIntStats } from 'node:fs'
import type { Clock } from '../clock.js'
import { errnoOf } from '../errno.js'
import { HeldDirectory } from '../held-directory.js'

/** How far a measurement goes. */
export interface MeasureBounds {
  readonly entries: number
  /** Bytes of the names of folders still to be visited: what a hostile tree can make this process remember. */
  readonly names: number
  /** Milliseconds. */
  readonly time: number
}

/** What measuring one tenant may cost: about ten seconds on a warm disk. */
export const MEASURE_BOUNDS: MeasureBounds = { entries: 1_000_000, names: 32 * 1024 ** 2, time: 60_000 }

/**
 * Why there may be more than was counted: more entries than the bound, no time for more, a folder that this process may
 * not read, another filesystem in the tree, or a deep folder that was moved elsewhere while it was measured.
 */
export type Missed = 'entries' | 'time' | 'unreadable' | 'filesystem' | 'moved'

export interface Measurement {
  /** On disk: blocks, not lengths; folders included; a file with several hard links once. */
  readonly bytes: number
  readonly entries: number
  readonly missed: Missed | undefined
}

/** Entries looked at in one go: enough to keep the thread pool busy, few enough to leave room for others. */
const BATCH = 32
/** Folders on the way down that are held open; from below those, the way back up is found by `..`, and checked. */
const HELD_LEVELS = 32

/**
 * What the trees below `roots` take on disk. Their contents may belong to somebody hostile and change meanwhile: no
 * symlink is followed, no other filesystem entered, and memory, descriptors, entries and time are bounded whatever is
 * found. Nothing is changed, and the event loop is never held up. A root that is not there takes nothing.
 *
 * @throws the signal's reason
 */
export async function measureTrees(
  roots: readonly string[],
  bounds: MeasureBounds,
  { clock, signal }: { clock: Clock; signal: AbortSignal },
): Promise<Measurement> {
  const count = new Count(bounds, clock, signal)
  for (const root of roots) await measureTree(root, count)
  const { bytes, entries, missed } = count
  return { bytes, entries, missed }
}

async function measureTree(root: string, count: Count): Promise<void> {
  let folder: HeldDirectory
  try {
    folder = await HeldDirectory.open(root)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return
    throw error
  }
  const walk = new Walk(folder, await folder.stat(), count)
  try {
    await walk.run()
  } finally {
    await walk.close()
  }
}

/** What was counted so far, over all roots. */
class Count {
  bytes = 0
  entries = 0
  missed: Missed | undefined
  /** Bytes of names that wait to be visited. */
  pending = 0
  readonly #linked = new Set<bigint>()
  readonly #bounds: MeasureBounds
  readonly #clock: Clock
  readonly #signal: AbortSignal
  readonly #until: number

  constructor(bounds: MeasureBounds, clock: Clock, signal: AbortSignal) {
    this.#bounds = bounds
    this.#clock = clock
    this.#signal = signal
    this.#until = clock.monotonic() + bounds.time
  }

  /** False when a bound is reached. @throws the signal's reason */
  get goesOn(): boolean {
    this.#signal.throwIfAborted()
    const { entries, names } = this.#bounds
    if (this.entries > entries || this.pending > names) this.missed = 'entries'
    else if (this.#clock.monotonic() > this.#until) this.missed = 'time'
    return this.missed !== 'entries' && this.missed !== 'time'
  }

  add({ dev, ino, nlink, blocks }: BigIntStats, isFolder: boolean): void {
    this.entries++
    if (nlink > 1n && !isFolder) {
      const file = (dev << 64n) | ino
      if (this.#linked.has(file)) return
      this.#linked.add(file)
    }
    this.bytes += Number(blocks) * 512
  }
}

/** A folder on the way from the root to where the walk is. */
interface Level {
  readonly ino: bigint
  /** Sub-folders still to be visited. */
  readonly pending: string[]
  /** Undefined while it is too far down to be held. */
  readonly folder: HeldDirectory | undefined
}

interface HeldLevel extends Level {
  readonly folder: HeldDirectory
}

/** One walk through one tree, depth first. */
class Walk {
  readonly #device: bigint
  readonly #count: Count
  readonly #above: Level[] = []
  #here: HeldLevel

  constructor(root: HeldDirectory, stats: BigIntStats, count: Count) {
    this.#device = stats.dev
    this.#count = count
    this.#here = { ino: stats.ino, pending: [], folder: root }
    count.add(stats, true)
  }

  async run(): Promise<void> {
    await this.#read()
    while (this.#count.goesOn) {
      const name = this.#here.pending.pop()
      if (name !== undefined) await this.#down(name)
      else if (!(await this.#up())) return
    }
  }

  async close(): Promise<void> {
    for (const { folder } of [...this.#above, this.#here]) await folder?.close()
  }

  async #down(name: string): Promise<void> {
    this.#count.pending -= name.length
    const folder = await this.#unlessHidden(() => this.#here.folder.openChild(name))
    if (!folder) return
    const { dev, ino } = await folder.stat()
    // Something else may lie here by now.
    if (!this.#isHere(dev)) return folder.close()
    const held = this.#above.length < HELD_LEVELS
    this.#above.push(held ? this.#here : { ...this.#here, folder: undefined })
    if (!held) await this.#here.folder.close()
    this.#here = { ino, pending: [], folder }
    await this.#read()
  }

  /** Back to the folder above; false when this was the root. */
  async #up(): Promise<boolean> {
    const { folder } = this.#here
    for (let above = this.#above.pop(); above; above = this.#above.pop()) {
      const back = above.folder ?? (await this.#parentOf(folder, above.ino))
      if (!back) {
        // The next one above that is held is still where it was.
        this.#count.missed ??= 'moved'
        continue
      }
      this.#here = { ...above, folder: back }
      await folder.close()
      return true
    }
    return false
  }

  /** The folder above, if it is still the one that the walk came from. */
  async #parentOf(folder: HeldDirectory, ino: bigint): Promise<HeldDirectory | undefined> {
    const parent = await this.#unlessHidden(() => folder.openParent())
    if (!parent) return undefined
    const found = await parent.stat()
    if (found.ino === ino && found.dev === this.#device) return parent
    await parent.close()
    return undefined
  }

  /** Counts what lies in this folder, and remembers what lies below it. */
  async #read(): Promise<void> {
    let names: string[] = []
    const entries = await this.#here.folder.entries()
    for await (const { name } of entries) {
      names.push(name)
      if (names.length < BATCH) continue
      await this.#look(names)
      if (!this.#count.goesOn) return
      names = []
    }
    await this.#look(names)
  }

  async #look(names: readonly string[]): Promise<void> {
    const { folder, pending } = this.#here
    const found = await Promise.all(names.map((name) => this.#unlessHidden(() => folder.statOf(name))))
    for (const [index, stats] of found.entries()) {
      if (!stats || !this.#isHere(stats.dev)) continue
      const isFolder = stats.isDirectory()
      this.#count.add(stats, isFolder)
      if (!isFolder) continue
      const name = names[index] as string
      pending.push(name)
      this.#count.pending += name.length
    }
  }

  /** Another filesystem is not entered: whatever is in it, a tenant alone could not have put it there but on btrfs. */
  #isHere(device: bigint): boolean {
    if (device !== this.#device) this.#count.missed ??= 'filesystem'
    return device === this.#device
  }

  /** Undefined for what has gone or is something else by now, and for what may not be read, which is noted. */
  async #unlessHidden<T>(look: () => Promise<T>): Promise<T | undefined> {
    try {
      return await look()
    } catch (error) {
      const code = errnoOf(error)
      if (code === 'EACCES' || code === 'EPERM') this.#count.missed ??= 'unreadable'
      else if (code !== 'ENOENT' && code !== 'ENOTDIR' && code !== 'ELOOP') throw error
      return undefined
    }
  }
}
