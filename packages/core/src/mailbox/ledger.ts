import { inOrder, type Listing } from './listing.js'
import type { DoneEntry, Entry } from './message-name.js'

/** The most ids of handled messages that are kept of one tenant, however long `keepDone` is. */
export const MOST_DONE = 10_000

/** What one tenant's mailbox holds, as last listed and changed since. No I/O. */
export class Ledger {
  readonly #waiting: Entry[]
  readonly #failed: Map<string, Entry>
  /** The oldest first. */
  readonly #done = new Map<string, DoneEntry>()
  readonly #keys: Set<string>
  #last: number
  /** The file of the handled message with the highest number stays: the numbers go on from there. */
  #lastDone = 0

  /** @param now the wall clock; what claims to be done later than now was done before the clock was set back */
  constructor({ waiting, failed, done }: Listing, now: number) {
    this.#waiting = [...waiting]
    this.#failed = new Map(failed.map((entry) => [entry.key, entry]))
    this.#keys = new Set(waiting.map(({ key }) => key))
    this.#last = 0
    for (const { sequence } of [...waiting, ...failed, ...done]) this.#last = Math.max(this.#last, sequence)
    for (const entry of done) this.#remember({ ...entry, at: Math.min(entry.at, now) })
  }

  get first(): Entry | undefined {
    return this.#waiting[0]
  }

  get waiting(): number {
    return this.#waiting.length
  }

  /** What its folder must find room for: a failed message is kept until it is tried again. */
  get depth(): number {
    return this.#waiting.length + this.#failed.size
  }

  get failed(): readonly Entry[] {
    return [...this.#failed.values()].sort(inOrder)
  }

  /** How many ids it remembers. */
  get size(): number {
    return this.#waiting.length + this.#failed.size + this.#done.size
  }

  /** Of those that wait. */
  find(entry: Named): Entry | undefined {
    return this.#waiting.find((one) => isSame(one, entry))
  }

  /** Whether a message with this key waits, has failed, or was handled after `since`. */
  knows(key: string, since: number): boolean {
    if (this.#keys.has(key) || this.#failed.has(key)) return true
    const done = this.#done.get(key)
    return done !== undefined && done.at > since
  }

  /** The number for a new message: above all there are and were. */
  number(): number {
    return ++this.#last
  }

  add(entry: Entry): void {
    let at = this.#waiting.length
    while (at > 0 && (this.#waiting[at - 1]?.sequence ?? 0) > entry.sequence) at--
    this.#waiting.splice(at, 0, entry)
    this.#keys.add(entry.key)
    this.#failed.delete(entry.key)
  }

  /** The same message with another count of attempts. */
  replace(entry: Entry): void {
    const at = this.#waiting.findIndex((one) => isSame(one, entry))
    if (at !== -1) this.#waiting[at] = entry
  }

  /** It waits no longer. */
  drop(entry: Entry): void {
    const at = this.#waiting.findIndex((one) => isSame(one, entry))
    if (at === -1) return
    this.#waiting.splice(at, 1)
    this.#keys.delete(entry.key)
  }

  fail(entry: Entry): void {
    this.drop(entry)
    this.#failed.set(entry.key, entry)
  }

  finish(entry: Entry, done: DoneEntry): void {
    this.drop(entry)
    this.#remember(done)
  }

  /** Forgets and returns what was done before `since`, or is too much. */
  expire(since: number): DoneEntry[] {
    const expired: DoneEntry[] = []
    for (const entry of this.#done.values()) {
      if (entry.at > since && this.#done.size <= MOST_DONE) break
      if (entry.sequence === this.#lastDone) continue
      this.#done.delete(entry.key)
      expired.push(entry)
    }
    return expired
  }

  #remember(entry: DoneEntry): void {
    this.#done.delete(entry.key)
    this.#done.set(entry.key, entry)
    this.#lastDone = Math.max(this.#lastDone, entry.sequence)
  }
}

type Named = Pick<Entry, 'sequence' | 'key'>

/** A number alone may stand for two messages, where a folder was put together from two. */
function isSame(one: Named, other: Named): boolean {
  return one.sequence === other.sequence && one.key === other.key
}
