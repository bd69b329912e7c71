import { mkdir, opendir, rmdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import pLimit from 'p-limit'
import type { Clock } from '../clock.js'
import type { DriverWarning } from '../driver.js'
import { errnoOf } from '../errno.js'
import type { Tenant } from '../tenant.js'
import type { TenantDirs, TenantFolders } from '../tenant-dirs.js'
import { toMessage } from '../text.js'
import { invalidOption } from '../units.js'
import { startWarning, type WarningCode } from '../warnings.js'
import type { Disk } from './disk.js'
import { makeImage, makeLarger, putInPlace, SMALLEST_IMAGE } from './image-file.js'
import { MEASURE_BOUNDS, measureTrees } from './measure.js'
import { isMounted, mountImage, mountTenant, unmount, unmountTenant } from './mounts.js'
import { overQuota } from './quota-errors.js'
import { runTool } from './system-tool.js'

/** Images mounted or unmounted at a time. */
const AT_A_TIME = 4
const IMAGE = 'disk.img'
const MOUNT = 'mount'

/** What images need of the pool. */
export interface DiskImagesHost {
  readonly clock: Clock
  readonly dirs: TenantDirs
  warn(code: WarningCode, message: string, about: { tenant?: string; cause?: unknown }): void
}

/**
 * Keeps `limits.disk` by a filesystem of that size for each tenant, in a file beside its folders: the kernel itself says
 * ENOSPC. Workspace and run are mounted from it at their usual places as long as the pool is open.
 */
export class DiskImages implements Disk {
  readonly #host: DiskImagesHost
  readonly #mounted = new Set<string>()
  /** Limits that an image could not be made to follow, by slug: told of once, and not tried again. */
  readonly #unmet = new Map<string, number>()
  readonly #closing = new AbortController()

  private constructor(host: DiskImagesHost) {
    this.#host = host
  }

  /** Tries whether this machine can do it, and mounts what tenants have. Without `disk` it cannot, and a warning says why. */
  static async open(
    host: DiskImagesHost,
  ): Promise<{ disk: DiskImages | undefined; warnings: readonly DriverWarning[] }> {
    try {
      await tryOut(host.dirs)
    } catch (error) {
      const message = `disk: 'image' is not possible here, so limits.disk is only watched: ${toMessage(error)}`
      return { disk: undefined, warnings: [startWarning('NO_DISK_IMAGES', message)] }
    }
    const disk = new DiskImages(host)
    await disk.#mountAll()
    return { disk, warnings: [] }
  }

  async prepare(tenant: Tenant, limit: number | undefined): Promise<void> {
    const folders = this.#host.dirs.folders(tenant.slug)
    const size = await sizeOf(folders.image)
    if (size === undefined && limit === undefined) return
    if (limit !== undefined && size === undefined) await this.#make(tenant, folders, limit)
    if (limit !== undefined && size !== undefined) await this.#fit(tenant, folders, size, limit)
    await this.#mount(tenant.slug)
  }

  settled(): void {
    // The kernel counts.
  }

  async release({ slug }: Tenant): Promise<void> {
    const folders = this.#host.dirs.folders(slug)
    try {
      await unmountTenant(folders)
    } catch {
      // Somebody in this process has a file open in it; it is to be deleted under him anyway.
      await unmountTenant(folders, true)
    }
    this.#mounted.delete(slug)
    this.#unmet.delete(slug)
  }

  async quiesce(): Promise<void> {
    this.#closing.abort(new Error('the pool is closing'))
  }

  async close(): Promise<void> {
    await this.#each([...this.#mounted], async (slug) => {
      await unmountTenant(this.#host.dirs.folders(slug))
      this.#mounted.delete(slug)
    })
  }

  async #mountAll(): Promise<void> {
    await this.#each(await this.#host.dirs.slugsWithImage(), (slug) => this.#mount(slug))
  }

  async #each(slugs: readonly string[], work: (slug: string) => Promise<void>): Promise<void> {
    const limited = pLimit(AT_A_TIME)
    const one = async (slug: string): Promise<void> => {
      try {
        await work(slug)
      } catch (cause) {
        this.#host.warn(
          'DISK_IMAGE_FAILED',
          `The disk image of ${JSON.stringify(slug)} could not be mounted or unmounted: ${toMessage(cause)}`,
          { cause },
        )
      }
    }
    await Promise.all(slugs.map((slug) => limited(() => one(slug))))
  }

  async #mount(slug: string): Promise<void> {
    const folders = this.#host.dirs.folders(slug)
    if (!(await isMounted(folders.workspace)) && (await hasEntries(folders.workspace)))
      this.#host.warn(
        'DISK_HIDES_FILES',
        `${folders.workspace} has files in it that were not written to the tenant's disk image, which hides them now. Move them into it while it is mounted, or away.`,
        {},
      )
    this.#mounted.add(slug)
    await mountTenant(folders)
  }

  /** Makes the tenant's image, with what it has in its workspace already. */
  async #make(tenant: Tenant, folders: TenantFolders, limit: number): Promise<void> {
    const { dirs } = this.#host
    if (limit < SMALLEST_IMAGE)
      throw invalidOption('box.limits.disk', `at least ${SMALLEST_IMAGE} bytes with disk: 'image'`, limit)
    const fresh = await dirs.makeFresh()
    try {
      await makeImage(join(fresh, IMAGE), limit)
      if (await hasEntries(folders.workspace)) await this.#moveIn(tenant, folders, fresh, limit)
      await putInPlace(join(fresh, IMAGE), folders.image)
    } catch (error) {
      await dirs.trash.throwAway(fresh)
      throw error
    }
    for (const folder of [folders.workspace, folders.run]) await dirs.trash.throwAway(folder)
  }

  async #moveIn(tenant: Tenant, { workspace }: TenantFolders, fresh: string, limit: number): Promise<void> {
    const { signal } = this.#closing
    const { clock } = this.#host
    const { bytes, missed } = await measureTrees([workspace], MEASURE_BOUNDS, { clock, signal })
    const tooMuch = overQuota(tenant, { bytes, missed }, limit)
    if (bytes > limit || missed) throw tooMuch
    const mount = join(fresh, MOUNT)
    await mkdir(mount)
    await mountImage(join(fresh, IMAGE), mount)
    try {
      await runTool('cp', ['--archive', workspace, join(mount, 'workspace')], { signal })
    } catch (error) {
      // The filesystem itself takes some of the room.
      throw toMessage(error).includes('No space left on device') ? tooMuch : error
    } finally {
      await unmount(mount)
    }
    await rmdir(mount)
  }

  /** Makes the image as large as the limit says. It never shrinks: there may be something in every part of it. */
  async #fit(tenant: Tenant, folders: TenantFolders, size: number, limit: number): Promise<void> {
    if (limit === size || this.#unmet.get(tenant.slug) === limit) return
    if (limit > size) return this.#grow(tenant, folders, limit)
    this.#unmet.set(tenant.slug, limit)
    this.#host.warn(
      'DISK_NOT_SHRUNK',
      `The disk of tenant ${JSON.stringify(tenant.id)} stays at ${size} bytes, though its limit is ${limit} now: a disk image never shrinks.`,
      { tenant: tenant.id },
    )
  }

  async #grow(tenant: Tenant, folders: TenantFolders, limit: number): Promise<void> {
    const { dirs, clock } = this.#host
    const { signal } = this.#closing
    const fresh = await dirs.makeFresh()
    try {
      await unmountTenant(folders)
      await makeLarger(folders.image, join(fresh, IMAGE), limit, { clock, signal })
      await putInPlace(join(fresh, IMAGE), folders.image)
    } catch (cause) {
      await dirs.trash.throwAway(fresh)
      signal.throwIfAborted()
      this.#unmet.set(tenant.slug, limit)
      this.#host.warn(
        'DISK_NOT_GROWN',
        `The disk of tenant ${JSON.stringify(tenant.id)} could not be made ${limit} bytes large, and stays as it is until the next start of the pool: ${toMessage(cause)}`,
        { tenant: tenant.id, cause },
      )
    }
  }
}

/** Makes, mounts and unmounts an image, and clears away what a crash left mounted. @throws why it is not possible */
async function tryOut(dirs: TenantDirs): Promise<void> {
  if (process.platform !== 'linux') throw new Error(`it needs Linux, and this is ${process.platform}.`)
  if (process.geteuid?.() !== 0) throw new Error('it needs root, to mount filesystems.')
  for (const folder of await dirs.halfMade())
    if (await isMounted(join(folder, MOUNT))) await unmount(join(folder, MOUNT), true)
  const fresh = await dirs.makeFresh()
  try {
    const mount = join(fresh, MOUNT)
    await mkdir(mount)
    await makeImage(join(fresh, IMAGE), SMALLEST_IMAGE)
    await mountImage(join(fresh, IMAGE), mount)
    await unmount(mount)
  } finally {
    await dirs.trash.throwAway(fresh)
  }
}

async function sizeOf(image: string): Promise<number | undefined> {
  try {
    return (await stat(image)).size
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  }
}

async function hasEntries(folder: string): Promise<boolean> {
  try {
    const entries = await opendir(folder)
    try {
      return (await entries.read()) !== null
    } finally {
      await entries.close()
    }
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false
    throw error
  }
}
