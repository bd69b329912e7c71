import type { BoxState } from './lifecycle.js'
import type { ResolvedIdle } from './options.js'

/** The idle tiers, from light to deep sleep. */
export type IdleTier = 'pause' | 'stop' | 'remove'

interface Tier {
  readonly tier: IdleTier
  readonly after: number
}

/** The tiers still below `state`, lightest first. Their durations grow: the options see to that. */
function tiersBelow(state: BoxState, idle: ResolvedIdle): Tier[] {
  const tiers: Tier[] = []
  const add = (tier: IdleTier, after: number | undefined): void => {
    if (after !== undefined) tiers.push({ tier, after })
  }
  if (state === 'running') add('pause', idle.pauseAfter)
  if (state === 'running' || state === 'paused') add('stop', idle.stopAfter)
  if (state === 'running' || state === 'paused' || state === 'stopped') add('remove', idle.removeAfter)
  return tiers
}

/** How long a box in this state may be idle before its next tier is due; undefined: for ever. */
export function nextTierAfter(state: BoxState, idle: ResolvedIdle): number | undefined {
  return tiersBelow(state, idle)[0]?.after
}

/** The deepest tier that is due after `idleMs` without activity: one long asleep in a crash skips the lighter ones. */
export function dueTier(state: BoxState, idleMs: number, idle: ResolvedIdle): IdleTier | undefined {
  return tiersBelow(state, idle).findLast(({ after }) => idleMs >= after)?.tier
}

/** What the queue needs to know of one sleeper-to-be. The links are the queue's own. */
export interface IdleEntry {
  /** Monotonic milliseconds of its last activity. */
  lastActive: number
  idleLink: IdleLink | undefined
}

interface IdleLink {
  readonly list: IdleList
  previous: IdleEntry | undefined
  next: IdleEntry | undefined
}

/** Entries with one idle duration, the longest idle first. */
interface IdleList {
  readonly after: number
  head: IdleEntry | undefined
  tail: IdleEntry | undefined
}

/**
 * Who is due, and when the first will be. One list per idle duration in use (a handful), ordered by last activity, so
 * that an activity moves its entry to the tail in O(1) and the next deadline is the earliest of the heads.
 */
export class IdleQueue<E extends IdleEntry> {
  readonly #lists = new Map<number, IdleList>()

  /** Watches `entry`, which becomes due `after` milliseconds past its last activity. */
  add(entry: E, after: number): void {
    this.delete(entry)
    const list = this.#lists.get(after) ?? { after, head: undefined, tail: undefined }
    this.#lists.set(after, list)
    // Nearly always the newest; one that changed its tier may be a little older than the tail.
    let before = list.tail
    while (before && before.lastActive > entry.lastActive) before = before.idleLink?.previous
    link(list, entry, before)
  }

  delete(entry: E): void {
    unlink(entry)
  }

  /** Notes an activity at `now`, which must not be earlier than any other noted. */
  touch(entry: E, now: number): void {
    entry.lastActive = now
    const list = entry.idleLink?.list
    if (!list || list.tail === entry) return
    unlink(entry)
    link(list, entry, list.tail)
  }

  /** Monotonic time at which the first entry is due; undefined when none ever is. */
  nextDeadline(): number | undefined {
    let first: number | undefined
    for (const { head, after } of this.#lists.values())
      if (head && (first === undefined || head.lastActive + after < first)) first = head.lastActive + after
    return first
  }

  /** Takes out and returns all that are due at `now`, the longest overdue first within each duration. */
  takeDue(now: number): E[] {
    const due: E[] = []
    for (const list of this.#lists.values()) {
      while (list.head && list.head.lastActive + list.after <= now) {
        due.push(list.head as E)
        unlink(list.head)
      }
      if (!list.head) this.#lists.delete(list.after)
    }
    return due
  }
}

function link(list: IdleList, entry: IdleEntry, previous: IdleEntry | undefined): void {
  const next = previous ? previous.idleLink?.next : list.head
  entry.idleLink = { list, previous, next }
  if (previous?.idleLink) previous.idleLink.next = entry
  else list.head = entry
  if (next?.idleLink) next.idleLink.previous = entry
  else list.tail = entry
}

function unlink(entry: IdleEntry): void {
  const place = entry.idleLink
  if (!place) return
  const { list, previous, next } = place
  if (previous?.idleLink) previous.idleLink.next = next
  else list.head = next
  if (next?.idleLink) next.idleLink.previous = previous
  else list.tail = previous
  entry.idleLink = undefined
}
