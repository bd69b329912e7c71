import { type DoneEntry, doneNameOf, type Entry, nameOf, parseDoneName, parseName } from './message-name.js'

/** The names in a mailbox's folders. */
export interface Names {
  readonly new: readonly string[]
  readonly failed: readonly string[]
  readonly done: readonly string[]
}

export type Folder = keyof Names

/** A folder of the mailbox, that of what is being written among them. */
export type Place = Folder | 'tmp'

/** What is not to be where it is. */
export interface Misplaced {
  readonly folder: Place
  readonly name: string
}

/** What lies in a mailbox. */
export interface Listing {
  /** Waiting, in their order. */
  readonly waiting: readonly Entry[]
  readonly failed: readonly Entry[]
  readonly done: readonly DoneEntry[]
  /** What the mailbox did not put there. */
  readonly foreign: readonly Misplaced[]
  /** A message's second name, where a crash has cut a move in half on a filesystem that does not move in one step. */
  readonly leftover: readonly Misplaced[]
}

/** What a listing means, also after a crash at any step. */
export function readListing(names: Names): Listing {
  const foreign: Misplaced[] = []
  const leftover: Misplaced[] = []
  const parsed = <T>(folder: Folder, parse: (name: string) => T | undefined): T[] =>
    names[folder].flatMap((name) => {
      const entry = parse(name)
      if (entry === undefined) foreign.push({ folder, name })
      return entry === undefined ? [] : [entry]
    })
  const seen = new Set<string>()
  // A name that is met later means the same message as the one met first.
  const once = <T extends { readonly sequence: number; readonly key: string }>(
    folder: Folder,
    entries: readonly T[],
    name: (entry: T) => string,
  ): T[] =>
    entries.filter((entry) => {
      const message = `${entry.sequence}.${entry.key}`
      const first = !seen.has(message)
      if (first) seen.add(message)
      else leftover.push({ folder, name: name(entry) })
      return first
    })
  // Handled is handled; what waits is not failed yet; of two counts of attempts the higher is the newer.
  const done = once('done', parsed('done', parseDoneName).sort(latest), doneNameOf)
  const waiting = once('new', parsed('new', parseName).sort(mostAttempts), nameOf)
  const failed = once('failed', parsed('failed', parseName).sort(mostAttempts), nameOf)
  return {
    waiting: waiting.sort(inOrder),
    failed: failed.sort(inOrder),
    done: done.sort((one, other) => one.at - other.at),
    foreign,
    leftover,
  }
}

export function inOrder(one: { readonly sequence: number }, other: { readonly sequence: number }): number {
  return one.sequence - other.sequence
}

function latest(one: DoneEntry, other: DoneEntry): number {
  return other.at - one.at
}

function mostAttempts(one: Entry, other: Entry): number {
  return other.attempts - one.attempts
}
