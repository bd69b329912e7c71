import { createHash } from 'node:crypto'

/** A message as the name of its file tells it, so that a listing is enough to know them all. */
export interface Entry {
  /** Its place in the tenant's order; independent of any clock. */
  readonly sequence: number
  /** What stands for its id: an id may hold anything, a name may not. */
  readonly key: string
  /** Attempts that were begun and count. */
  readonly attempts: number
}

/** A message that was handled, as the name of its file tells it. */
export interface DoneEntry {
  readonly sequence: number
  readonly key: string
  /** Milliseconds since the epoch. */
  readonly at: number
}

const ENTRY = /^(\d{16})\.([0-9a-f]{32})\.(\d{3})$/
const DONE = /^(\d{16})\.([0-9a-f]{32})\.(\d{15})$/

/** The most that a name has room for. */
export const MOST_ATTEMPTS = 999
/** No mailbox comes this far. A number above is no mailbox's: it would leave no room for those that follow. */
export const MOST_SEQUENCE = 2 ** 52

/** By the exact code units, as a tenant's id is compared. */
export function keyOf(id: string): string {
  return createHash('sha256').update(id, 'utf16le').digest('hex').slice(0, 32)
}

/** All names of one kind are equally long: renaming needs no room on a full disk. */
export function nameOf({ sequence, key, attempts }: Entry): string {
  return `${digits(sequence, 16)}.${key}.${digits(attempts, 3)}`
}

export function doneNameOf({ sequence, key, at }: DoneEntry): string {
  return `${digits(sequence, 16)}.${key}.${digits(at, 15)}`
}

/** Undefined for what the mailbox did not name. */
export function parseName(name: string): Entry | undefined {
  const [, sequence, key, attempts] = ENTRY.exec(name) ?? []
  if (sequence === undefined || key === undefined || attempts === undefined) return undefined
  const entry = { sequence: Number(sequence), key, attempts: Number(attempts) }
  return entry.sequence <= MOST_SEQUENCE ? entry : undefined
}

/** Undefined for what the mailbox did not name. */
export function parseDoneName(name: string): DoneEntry | undefined {
  const [, sequence, key, at] = DONE.exec(name) ?? []
  if (sequence === undefined || key === undefined || at === undefined) return undefined
  const entry = { sequence: Number(sequence), key, at: Number(at) }
  return entry.sequence <= MOST_SEQUENCE ? entry : undefined
}

function digits(value: number, length: number): string {
  return String(value).padStart(length, '0')
}
