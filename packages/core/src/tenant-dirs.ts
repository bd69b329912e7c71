import { createHmac, randomUUID } from 'node:crypto'
import { lstatSync } from 'node:fs'
import { lstat, mkdir, readdir, rename, statfs, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { orDelete } from './delete-tree.js'
import type { PoolIdentity } from './driver.js'
import { errnoOf } from './errno.js'
import { slugOf } from './identity.js'
import { canonicalJson, readJson, syncDirectory, writeAtomically } from './json-file.js'
import { makeFolder } from './make-folder.js'
import { openPoolFile } from './pool-file.js'
import { Serial } from './serial.js'
import { isTenantFile, newTenantFile } from './tenant-file.js'
import { toMessage } from './text.js'
import { Trash } from './trash.js'
import { type UidRange, Uids } from './uids.js'

/** Host-only folder of the pool itself. No slug begins with a dot. */
const OWN = '.tenantbox'
const TENANT_FILE = 'tenant.json'
const LOOKED_AT_ONCE = 200

/** A tenant's folders on this machine. */
export interface TenantFolders {
  readonly root: string
  readonly workspace: string
  readonly run: string
  readonly gateway: string
  readonly secrets: string
  /** Host only. */
  readonly mailbox: string
  /** A filesystem that holds workspace and run, where `disk: 'image'` has made one. */
  readonly image: string
  /** Where that is mounted; workspace and run are mounted from it in turn. */
  readonly disk: string
}

/** A tenant as its folder remembers it. */
export interface KnownTenant {
  readonly tenant: string
  readonly slug: string
  readonly uid: number | undefined
  /** Milliseconds since the epoch. */
  readonly lastActivity: number
  /** Whether its `tenant.json` could not be read, and was made anew. */
  readonly repaired: boolean
}

/** Something in the data folder that is no readable tenant's. */
export interface Stray {
  readonly name: string
  readonly reason: string
}

/** The folders of all tenants of one pool. Everything here is the gateway's; tenants own only what is inside the mounts. */
export class TenantDirs {
  readonly trash: Trash
  readonly #dataDir: string
  readonly #now: () => number
  readonly #uids = new Uids()
  /** Who makes a tenant's folder: its wake and its first message may come at the same time. */
  readonly #making = new Map<string, Serial>()
  #key = Buffer.alloc(0)

  /** @param now the wall clock, in milliseconds since the epoch */
  constructor(dataDir: string, now: () => number = Date.now) {
    this.#dataDir = dataDir
    this.#now = now
    this.trash = new Trash(join(dataDir, OWN, 'trash'))
  }

  /** The file whose lock means owning this folder; makes the folder. */
  async lockPath(): Promise<string> {
    await mkdir(this.#dataDir, { recursive: true, mode: 0o700 })
    // One by one: of a full disk, Node's recursion says that something is missing.
    for (const folder of ['', 'trash', 'new']) await makeFolder(join(this.#dataDir, OWN, folder))
    return join(this.#dataDir, OWN, 'lock')
  }

  /** Reads `pool.json`, or makes it at the first start. Call it only with the lock held. */
  async identify(name: string): Promise<PoolIdentity> {
    const { owner, key } = await openPoolFile(join(this.#dataDir, OWN, 'pool.json'), name)
    this.#key = Buffer.from(key, 'hex')
    return { name, owner, dataDir: this.#dataDir }
  }

  /** A hash that changes with `value`, keyed, so that nothing can be guessed from it. */
  fingerprint(value: unknown): string {
    return createHmac('sha256', this.#key).update(canonicalJson(value)).digest('hex').slice(0, 32)
  }

  /**
   * Every tenant with a folder. A folder whose `tenant.json` cannot be read is repaired when `nameOf` (the boxes' labels)
   * knows whose it is.
   */
  async scan(
    nameOf: (slug: string) => string | undefined,
  ): Promise<{ tenants: KnownTenant[]; strays: Stray[] }> {
    return this.#lookAll(await this.#names(), nameOf)
  }

  /** What lies in the data folder now and is no tenant's; those whose slug `isKnown` are not looked at. */
  async strays(isKnown: (slug: string) => boolean): Promise<Stray[]> {
    const unknown = (await this.#names()).filter((name) => !isKnown(name))
    return (await this.#lookAll(unknown, () => undefined)).strays
  }

  async #names(): Promise<string[]> {
    return (await readdir(this.#dataDir)).filter((name) => name !== OWN)
  }

  async #lookAll(
    names: readonly string[],
    nameOf: (slug: string) => string | undefined,
  ): Promise<{ tenants: KnownTenant[]; strays: Stray[] }> {
    const tenants: KnownTenant[] = []
    const strays: Stray[] = []
    for (const [index, name] of names.entries()) {
      // With very many tenants others must have their turn in between.
      if (index % LOOKED_AT_ONCE === LOOKED_AT_ONCE - 1) await setImmediate()
      const found = await this.#look(name, nameOf(name))
      if ('reason' in found) {
        strays.push(found)
        // Whoever it was: nobody else gets what is theirs.
        const uid = await this.#ownerOf(name).catch(() => undefined)
        if (uid !== undefined && this.#uids.mayHave(name, uid)) this.#uids.keep(name, uid)
      } else {
        tenants.push(found)
        if (found.uid !== undefined) this.#uids.keep(name, found.uid)
      }
    }
    return { tenants, strays }
  }

  async #look(name: string, label: string | undefined): Promise<KnownTenant | Stray> {
    const path = join(this.#dataDir, name, TENANT_FILE)
    try {
      const file = readJson(path)
      if (isTenantFile(file) && slugOf(file.id) === name) {
        const { mtimeMs } = lstatSync(path)
        const lastActivity = Math.min(mtimeMs, this.#now())
        return { tenant: file.id, slug: name, uid: file.uid, lastActivity, repaired: false }
      }
      if (label !== undefined && slugOf(label) === name) {
        const uid = await this.#ownerOf(name)
        await writeAtomically(path, JSON.stringify(newTenantFile(label, uid)))
        return { tenant: label, slug: name, uid, lastActivity: this.#now(), repaired: true }
      }
      return { name, reason: `${TENANT_FILE} is missing or unreadable, and no box tells whose folder it is` }
    } catch (error) {
      return { name, reason: toMessage(error) }
    }
  }

  async #ownerOf(slug: string): Promise<number | undefined> {
    const { uid } = await lstat(join(this.#dataDir, slug, 'workspace'))
    return uid === process.getuid?.() ? undefined : uid
  }

  folders(slug: string): TenantFolders {
    const root = join(this.#dataDir, slug)
    return {
      root,
      workspace: join(root, 'workspace'),
      run: join(root, 'run'),
      gateway: join(root, 'gateway'),
      secrets: join(root, 'secrets'),
      mailbox: join(root, 'mailbox'),
      image: join(root, 'disk.img'),
      disk: join(root, 'disk'),
    }
  }

  /**
   * Makes the tenant's folder at its first wake, whole or not at all, and returns its uid, drawn from `uids` at random so
   * that two pools on one machine hardly ever share one, and never given to another tenant while the folder lives.
   */
  async ensure(
    tenant: string,
    slug: string,
    uids: UidRange | undefined,
  ): Promise<{ uid: number | undefined }> {
    const serial = this.#making.get(slug) ?? new Serial()
    this.#making.set(slug, serial)
    try {
      return await serial.run(() => this.#ensure(tenant, slug, uids))
    } finally {
      if (!serial.busy) this.#making.delete(slug)
    }
  }

  async #ensure(
    tenant: string,
    slug: string,
    uids: UidRange | undefined,
  ): Promise<{ uid: number | undefined }> {
    const { root } = this.folders(slug)
    const file = readJson(join(root, TENANT_FILE))
    if (isTenantFile(file) && file.id === tenant && (file.uid !== undefined || !uids))
      return { uid: file.uid }
    const exists = await isDirectory(root)
    const before = exists && uids ? await this.#uidBefore(slug, uids) : undefined
    const drawn = uids && before === undefined ? this.#uids.draw(slug, uids) : undefined
    const uid = before ?? drawn
    const text = JSON.stringify(newTenantFile(tenant, uid))
    try {
      if (exists) await writeAtomically(join(root, TENANT_FILE), text)
      else await this.#makeFolder(root, text)
    } catch (error) {
      if (drawn !== undefined) this.#uids.giveBack(drawn)
      throw error
    }
    return { uid }
  }

  /** The uid that owns the files of a folder whose `tenant.json` does not tell it; not when it is another tenant's. */
  async #uidBefore(slug: string, { first, last }: UidRange): Promise<number | undefined> {
    const uid = await this.#ownerOf(slug).catch(() => undefined)
    if (uid === undefined || uid < first || uid > last || !this.#uids.mayHave(slug, uid)) return undefined
    this.#uids.keep(slug, uid)
    return uid
  }

  async #makeFolder(root: string, tenantFile: string): Promise<void> {
    const fresh = await this.makeFresh()
    await orDelete(fresh, async () => {
      for (const folder of ['workspace', 'run', 'gateway', 'secrets', 'mailbox'])
        await mkdir(join(fresh, folder), { mode: folder === 'gateway' ? 0o755 : 0o700 })
      await writeAtomically(join(fresh, TENANT_FILE), tenantFile)
      await rename(fresh, root)
    })
    await syncDirectory(this.#dataDir)
  }

  /** Notes the last activity where the next process finds it; of a tenant without a folder there is nothing to find. */
  async markActivity(slug: string, at: number): Promise<void> {
    try {
      await utimes(join(this.#dataDir, slug, TENANT_FILE), at / 1000, at / 1000)
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error
    }
  }

  /** Moves all of a tenant's files to the trash, in one step, and returns their name there; undefined when there are none. */
  discard(slug: string): Promise<string | undefined> {
    return this.trash.take(join(this.#dataDir, slug))
  }

  /** Begins to clear away what a crash left half made or half deleted. `tell` hears what cannot be. */
  async sweep(tell: (leftBehind: readonly string[]) => void): Promise<void> {
    for (const path of await this.halfMade()) await this.trash.take(path)
    await this.trash.resume(tell)
  }

  /** What was being made when an earlier process ended. Only before anything new is made. */
  async halfMade(): Promise<string[]> {
    const fresh = join(this.#dataDir, OWN, 'new')
    return (await readdir(fresh)).map((name) => join(fresh, name))
  }

  /** A folder of its own to make something in, whole or not at all: what a crash leaves of it is cleared away. */
  async makeFresh(): Promise<string> {
    const fresh = join(this.#dataDir, OWN, 'new', randomUUID())
    await mkdir(fresh, { mode: 0o700 })
    return fresh
  }

  async hasImage(slug: string): Promise<boolean> {
    try {
      await lstat(this.folders(slug).image)
      return true
    } catch (error) {
      if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return false
      throw error
    }
  }

  /** The slugs of all tenants with a disk image. */
  async slugsWithImage(): Promise<string[]> {
    const names = await this.#names()
    const found = await Promise.all(names.map((name) => this.hasImage(name)))
    return names.filter((_, index) => found[index])
  }

  /** Bytes on the disk of the data folder. */
  async space(): Promise<{ free: number; total: number }> {
    const { bavail, blocks, bsize } = await statfs(this.#dataDir)
    return { free: bavail * bsize, total: blocks * bsize }
  }
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await lstat(path)).isDirectory()
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false
    throw error
  }
}
