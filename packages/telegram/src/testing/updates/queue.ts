import type { Clock } from '@tenantbox/core'
import type { Update } from 'grammy/types'

/** An update without its id. */
export type NewUpdate = Omit<Update, 'update_id'>
type UpdateType = Exclude<keyof Update, 'update_id'>

/** Telegram forgets updates that nobody fetched for a day. */
const RETENTION = 24 * 60 * 60 * 1000

/** What bots get only when they ask for it in `allowed_updates`. */
const NOT_BY_DEFAULT: readonly UpdateType[] = ['chat_member', 'message_reaction', 'message_reaction_count']

/** How far ahead of the queue an offset may be before it is taken for a mistake. */
const FARTHEST_OFFSET = 10

interface Pending {
  readonly update: Update
  readonly expires: number
}

/** Updates that wait for the bot, in the order in which they will be delivered. */
export class UpdateQueue {
  readonly #clock: Clock
  readonly #waiting = new Set<() => void>()
  #pending: Pending[] = []
  #nextId: number
  #allowed: readonly string[] = []
  #held: Update[] | undefined

  /** @param firstId The first update's id; the next ones count up. */
  constructor(clock: Clock, firstId: number) {
    this.#clock = clock
    this.#nextId = firstId
  }

  get size(): number {
    return this.pending().length
  }

  get allowed(): readonly string[] {
    return this.#allowed
  }

  /** Which updates are made from now on. None named means the default. */
  allow(types: readonly string[]): void {
    this.#allowed = types
  }

  /** @returns the update, or undefined when the bot does not want its kind */
  add(update: NewUpdate): Update | undefined {
    const types = Object.keys(update)
    const wanted = types.some((type) =>
      this.#allowed.length > 0 ? this.#allowed.includes(type) : !NOT_BY_DEFAULT.some((name) => name === type),
    )
    if (!wanted) return undefined
    const made = { update_id: this.#nextId, ...update }
    this.#nextId++
    if (this.#held) this.#held.push(made)
    else this.deliver([made])
    return made
  }

  /** Puts updates at the end, with the ids they have. */
  deliver(updates: readonly Update[]): void {
    const expires = this.#clock.now() + RETENTION
    for (const update of updates) {
      this.#pending.push({ update, expires })
      this.#nextId = Math.max(this.#nextId, update.update_id + 1)
    }
    for (const wake of [...this.#waiting]) wake()
  }

  /** Keeps back what comes from now on. */
  hold(): void {
    this.#held ??= []
  }

  /** @returns what was kept back; from now on nothing is */
  release(): Update[] {
    const held = this.#held ?? []
    this.#held = undefined
    return held
  }

  pending(): readonly Update[] {
    const now = this.#clock.now()
    this.#pending = this.#pending.filter(({ expires }) => expires > now)
    return this.#pending.map(({ update }) => update)
  }

  /** As `getUpdates` does it: whatever is before the offset was received and is forgotten; a negative one counts from the end. */
  fetch(offset: number, limit: number): Update[] {
    const pending = this.pending()
    if (offset < 0) {
      const kept = pending.slice(offset)
      this.#pending = this.#pending.slice(offset)
      return kept.slice(0, limit)
    }
    if (offset <= this.#nextId + FARTHEST_OFFSET)
      this.#pending = this.#pending.filter(({ update }) => update.update_id >= offset)
    return this.#pending.slice(0, limit).map(({ update }) => update)
  }

  /** Forgets one delivery of an update: a webhook has taken it. */
  remove(update: Update): void {
    const index = this.#pending.findIndex((pending) => pending.update === update)
    if (index >= 0) this.#pending.splice(index, 1)
  }

  clear(): void {
    this.#pending = []
  }

  /** Calls back whenever updates have come, until the returned function is called. */
  onUpdates(callback: () => void): () => void {
    this.#waiting.add(callback)
    return () => this.#waiting.delete(callback)
  }
}
