import { open, rename, rmdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Clock } from '../clock.js'
import { sleep } from '../wait.js'
import { runTool } from './system-tool.js'

/** Less than this is hardly a filesystem. */
export const SMALLEST_IMAGE = 8 * 1024 ** 2

const LETTING_GO_MS = 100
const LETTING_GO_ATTEMPTS = 20

/** Makes an empty filesystem in a new file. It takes no room on the disk but for what is written to it. */
export async function makeImage(image: string, bytes: number): Promise<void> {
  const file = await open(image, 'wx', 0o600)
  try {
    await file.truncate(bytes)
  } finally {
    await file.close()
  }
  // No part of it kept for root, and no zeroes written where a new file has them anyway.
  await runTool('mkfs.ext4', ['-q', '-F', '-m', '0', '-E', 'lazy_journal_init=1', image])
}

/**
 * Makes a larger copy of an image that nobody uses. The original is not touched: whatever happens in the middle, also to
 * a tool that outlives this process, there is always one whole image.
 */
export async function makeLarger(
  image: string,
  copy: string,
  bytes: number,
  { clock, signal }: { clock: Clock; signal: AbortSignal },
): Promise<void> {
  await untilUnused(image, clock, signal)
  await runTool('cp', ['--sparse=always', '--reflink=auto', image, copy], { signal })
  // 1: it has mended something.
  await runTool('e2fsck', ['-f', '-p', copy], { signal, allowed: [0, 1] })
  await runTool('truncate', ['--size', String(bytes), copy])
  await runTool('resize2fs', [copy], { signal })
}

/** The kernel, and whoever looks at new devices, let go of an unmounted image a little late. */
async function untilUnused(image: string, clock: Clock, signal: AbortSignal): Promise<void> {
  for (let attempt = 1; (await runTool('losetup', ['--associated', image])).trim() !== ''; attempt++) {
    if (attempt === LETTING_GO_ATTEMPTS) throw new Error('its filesystem is still in use')
    await sleep(clock, LETTING_GO_MS, signal)
  }
}

/** Puts a finished image, from a folder of its own, into its place: in one step, and safe from a power cut. */
export async function putInPlace(fresh: string, image: string): Promise<void> {
  await sync(fresh)
  await rename(fresh, image)
  await sync(dirname(image))
  await rmdir(dirname(fresh))
}

async function sync(path: string): Promise<void> {
  const handle = await open(path)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
