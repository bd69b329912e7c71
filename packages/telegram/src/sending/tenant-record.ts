import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { slugOf } from '@tenantbox/core'
import { isSamePlace, type Place } from './place.js'
import type { Said } from './said.js'

const FILE = 'telegram.json'
/** A tenant of an app's own may have written from many chats; older ones are forgotten. */
const PLACES_KEPT = 50

export type Answers = Readonly<Record<string, readonly Said[]>>

/** What of one turn's answer stands in the chat already, so that a redelivery goes on with it. */
export interface SentTurn {
  readonly id: string
  readonly place: Place
  readonly messages: readonly number[]
  readonly files: readonly string[]
  /** What the agent has said in full, by the message's id, though it could not be shown, or not all of it. */
  readonly answers?: Answers
  /** Whether its user has been told that there is no answer. */
  readonly apologized?: boolean
}

interface RecordFile {
  readonly version: 1
  /** The one last written from comes first. */
  readonly places: readonly Place[]
  /** Of the latest turn that has sent anything. */
  readonly sent?: SentTurn
}

const EMPTY: RecordFile = { version: 1, places: [] }

/**
 * What the gateway remembers of a tenant, in the tenant's folder on the host, which goes when the tenant does; no box
 * has it mounted. Reading and writing are synchronous, so that nothing comes in between; the file is small. What a power
 * cut loses, the next message brings back.
 */
export class TenantRecord {
  readonly #dataDir: string

  constructor(dataDir: string) {
    this.#dataDir = dataDir
  }

  places(tenant: string): readonly Place[] {
    return this.#read(tenant).places
  }

  /** Somebody has written from there. */
  notePlace(tenant: string, place: Place): void {
    const record = this.#read(tenant)
    const [latest] = record.places
    if (latest && isSamePlace(latest, place)) return
    const others = record.places.filter((known) => !isSamePlace(known, place))
    this.#write(tenant, { ...record, places: [place, ...others].slice(0, PLACES_KEPT) })
  }

  /** A group has become a supergroup, under another id. */
  moveChat(tenant: string, from: number, to: number): void {
    const record = this.#read(tenant)
    const moved = record.places.map((place) => (place.chat === from ? { ...place, chat: to } : place))
    const places = moved.filter((place, at) => moved.findIndex((one) => isSamePlace(one, place)) === at)
    this.#write(tenant, { ...record, places })
  }

  /** What an earlier attempt at this turn has sent. */
  sent(tenant: string, turn: string): SentTurn | undefined {
    const { sent } = this.#read(tenant)
    return sent?.id === turn ? sent : undefined
  }

  noteSent(tenant: string, sent: SentTurn): void {
    this.#write(tenant, { ...this.#read(tenant), sent })
  }

  #read(tenant: string): RecordFile {
    try {
      const value: unknown = JSON.parse(readFileSync(this.#pathOf(tenant), 'utf8'))
      return isRecord(value) ? value : EMPTY
    } catch (error) {
      // Cut off by a power failure, it says nothing any more.
      if (isMissing(error) || error instanceof SyntaxError) return EMPTY
      throw error
    }
  }

  #write(tenant: string, record: RecordFile): void {
    const path = this.#pathOf(tenant)
    try {
      writeFileSync(`${path}.new`, JSON.stringify(record), { mode: 0o600 })
      renameSync(`${path}.new`, path)
    } catch (error) {
      // The tenant has just been deleted.
      if (!isMissing(error)) throw error
    }
  }

  #pathOf(tenant: string): string {
    return join(this.#dataDir, slugOf(tenant), FILE)
  }
}

function isRecord(value: unknown): value is RecordFile {
  return (
    typeof value === 'object' &&
    value !== null &&
    'version' in value &&
    value.version === 1 &&
    'places' in value &&
    Array.isArray(value.places)
  )
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}
