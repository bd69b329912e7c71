import { mkdir, open, readdir, readFile, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { CancelTimer, Clock } from '@tenantbox/core'
import type { Update } from 'grammy/types'

type Updates = readonly [Update, ...Update[]]

interface Part {
  readonly tenant: string
  readonly group: string
  readonly update: Update
}

interface Album {
  readonly tenant: string
  readonly parts: Map<number, Update>
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
  readonly #albums = new Map<string, Album>()
  #closed = false

  constructor(options: AlbumsOptions) {
    this.#options = options
  }

  /** Goes on with what an earlier process has left. */
  async load(): Promise<void> {
    const { directory } = this.#options
    await mkdir(directory, { recursive: true, mode: 0o700 })
    for (const name of await readdir(directory)) {
      const part = parse(await readFile(join(directory, name), 'utf8'))
      if (part) this.#join(part)
      else await unlink(join(directory, name))
    }
  }

  /** Resolves once the part is durable. */
  async add(tenant: string, group: string, update: Update): Promise<void> {
    const part = { tenant, group, update }
    await using file = await open(this.#pathOf(update), 'w', 0o600)
    await file.writeFile(JSON.stringify(part))
    await file.sync()
    await using directory = await open(this.#options.directory)
    await directory.sync()
    this.#join(part)
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
    await Promise.allSettled([...this.#albums.values()].map(({ posting }) => posting))
  }

  #join({ tenant, group, update }: Part): void {
    const key = JSON.stringify([tenant, group])
    const album = this.#albums.get(key) ?? {
      tenant,
      parts: new Map(),
      posting: undefined,
      cancelTimer: undefined,
    }
    this.#albums.set(key, album)
    album.parts.set(update.update_id, update)
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
    const updates = [...album.parts.values()].sort((one, other) => one.update_id - other.update_id)
    // A part that comes from now on begins an album of its own.
    this.#albums.delete(key)
    try {
      const [first, ...others] = updates
      if (first) await this.#options.post(album.tenant, [first, ...others])
    } catch (error) {
      for (const update of this.#albums.get(key)?.parts.values() ?? [])
        album.parts.set(update.update_id, update)
      this.#albums.get(key)?.cancelTimer?.()
      this.#albums.set(key, album)
      throw error
    }
    // The last to go is the one that the album is known by.
    for (const update of updates.toReversed()) await this.#forget(update)
  }

  async #forget(update: Update): Promise<void> {
    try {
      await unlink(this.#pathOf(update))
    } catch (error) {
      // It came twice, and is gone with the first.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }

  #pathOf({ update_id: id }: Update): string {
    return join(this.#options.directory, `${id}.json`)
  }
}

/** Undefined for what a power cut has left of one that was not confirmed. */
function parse(text: string): Part | undefined {
  try {
    return JSON.parse(text) as Part
  } catch {
    return undefined
  }
}
