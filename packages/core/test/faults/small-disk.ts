import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { errnoOf } from '../../src/errno.js'

const CHUNK = Buffer.alloc(1024 * 1024)

/** A filesystem of its own, in a file of this size that is mounted. */
export class SmallDisk {
  /** Where it is mounted. */
  readonly path: string
  readonly #folder: string

  constructor(bytes: number) {
    this.#folder = mkdtempSync(join(tmpdir(), 'tenantbox-disk-'))
    this.path = join(this.#folder, 'mounted')
    const image = join(this.#folder, 'image')
    writeFileSync(image, '')
    truncateSync(image, bytes)
    execFileSync('mkfs.ext4', ['-q', '-m', '0', image])
    execFileSync('mkdir', [this.path])
    execFileSync('mount', ['-o', 'loop,nosuid,nodev', image, this.path])
  }

  /** Leaves this much room, as nearly as the filesystem counts it. */
  async fill(leaving = 0): Promise<void> {
    const file = await open(this.#filler, 'a')
    try {
      for (let size = CHUNK.length; size >= 1; ) {
        const written = await file.write(CHUNK, 0, size).catch((error) => {
          if (errnoOf(error) !== 'ENOSPC') throw error
        })
        if (!written) size = Math.floor(size / 2)
      }
      if (leaving > 0) await file.truncate((await file.stat()).size - leaving)
      await file.sync()
    } finally {
      await file.close()
    }
  }

  free(): Promise<void> {
    return rm(this.#filler, { force: true })
  }

  unmount(): void {
    execFileSync('umount', [this.path])
    rmSync(this.#folder, { recursive: true })
  }

  get #filler(): string {
    return join(this.path, 'filler')
  }
}

/** Why there can be none here; undefined where there can. */
export function whyNoSmallDisk(): string | undefined {
  try {
    new SmallDisk(8 * 1024 ** 2).unmount()
    return undefined
  } catch (error) {
    return String(error)
  }
}
