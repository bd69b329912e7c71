import type { CancelTimer, Clock } from '@tenantbox/core'
import type { Update } from 'grammy/types'
import { AlbumSpool, type Part } from './album-spool.js'

type Updates = readonly [Update, ...Update[]]

interface Album {
  readonly tenant: string
  readonly parts: Map<number, Part>
  posting: Promise<void> | undefined
  cancelTimer: CancelTimer | undefined
}

export interface AlbumsOptions {
  readonly directory: string
  readonly gatherMs: number
  readonly clock: Clock
  /** Resolves once it is durable. */
  readonly post: (tenant: string, updates: Updates) => Promise<void>
  /** An album could not be posted; it is tried again. */
  readonly onFailure: (tenant: string, error: unknown) => void
}

const RETRY_MS = 5_000

/**
 * Gathers the parts of albums, which come as messages of their own. Each is on the disk before Telegram is told that it
 * was received, and until all of them are in the tenant's mailbox as one.
 */
export class Albums {
  readonly #options: AlbumsOptions
  readonly #spool: AlbumSpool
  readonly #albums = new Map<string, Album>()
  /** Those that are being posted. */
  readonly #leaving = new Set<Album>()
  #closed = false

  constructor(options: AlbumsOptions) {
    this.#options = options
    this.#spool = new AlbumSpool(options.directory, options.clock)
  }

  /** Goes on with what an earlier process has left. */
  async load(): Promise<void> {
    for (const part of await this.#spool.load()) this.#join(part)
  }

  /** Resolves once the part is durable; one that was posted comes again for nothing. */
  async add(tenant: string, group: string, update: Update): Promise<void> {
    const part = { tenant, group, update }
    if (this.#hasLeft(part)) return
    await this.#spool.keep(part)
    // It may have come twice at the same time.
    if (!this.#hasLeft(part)) this.#join(part)
  }

  /** Whether parts of an album of this tenant's are being gathered. */
  has(tenant: string): boolean {
    return [...this.#albums.values()].some((album) => album.tenant === tenant)
  }

  /** Posts what has been gathered for a tenant: something else is to be posted after it. */
  async flush(tenant: string): Promise<void> {
    for (const [key, album] of this.#albums) if (album.tenant === tenant) await this.#post(key, album)
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const { cancelTimer } of this.#albums.values()) cancelTimer?.()
    await Promise.allSettled([...this.#leaving].map(({ posting }) => posting))
  }

  /** Whether it was posted, or is being. */
  #hasLeft(part: Part): boolean {
    const { tenant, update } = part
    const isLeaving = (album: Album): boolean => album.tenant === tenant && album.parts.has(update.update_id)
    return this.#spool.knows(part) || [...this.#leaving].some(isLeaving)
  }

  #join(part: Part): void {
    const { tenant, group, update } = part
    const key = JSON.stringify([tenant, group])
    const album = this.#albums.get(key) ?? {
      tenant,
      parts: new Map(),
      posting: undefined,
      cancelTimer: undefined,
    }
    this.#albums.set(key, album)
    album.parts.set(update.update_id, part)
    this.#arm(key, album, this.#options.gatherMs)
  }

  #arm(key: string, album: Album, ms: number): void {
    album.cancelTimer?.()
    if (this.#closed) return
    album.cancelTimer = this.#options.clock.after(ms, () => {
      this.#post(key, album).catch((error: unknown) => {
        this.#options.onFailure(album.tenant, error)
        this.#arm(key, album, RETRY_MS)
      })
    })
  }

  #post(key: string, album: Album): Promise<void> {
    album.cancelTimer?.()
    album.posting ??= this.#postAll(key, album).finally(() => {
      album.posting = undefined
    })
    return album.posting
  }

  async #postAll(key: string, album: Album): Promise<void> {
    const parts = [...album.parts.values()].sort(
      (one, other) => one.update.update_id - other.update.update_id,
    )
    const [first, ...others] = parts
    // A part that comes from now on begins an album of its own.
    this.#albums.delete(key)
    if (!first) return
    this.#leaving.add(album)
    try {
      await this.#options.post(album.tenant, [first.update, ...others.map(({ update }) => update)])
    } catch (error) {
      this.#leaving.delete(album)
      for (const part of this.#albums.get(key)?.parts.values() ?? [])
        album.parts.set(part.update.update_id, part)
      this.#albums.get(key)?.cancelTimer?.()
      this.#albums.set(key, album)
      throw error
    }
    await this.#spool.posted([first, ...others])
    this.#leaving.delete(album)
  }
}
