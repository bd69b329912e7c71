import { buffer } from 'node:stream/consumers'
import type { DriverCall } from '../driver.js'
import type { Engine } from './engine.js'
import { refusalOf } from './engine-failure.js'

const BLOCK = 512
const REGULAR_FILE = new Set(['0', '\0'])
const LARGEST_FILE = 1024 * 1024

/**
 * A small text file of a container that need not run, its mounts included. The empty string when there is none;
 * undefined for what is no regular file, or a huge one.
 */
export async function readContainerFile(
  engine: Engine,
  container: string,
  path: string,
  options: DriverCall = {},
): Promise<string | undefined> {
  try {
    return await engine.call(
      `read ${path} of a container`,
      async (client, abortSignal) => {
        const archive = await client.getContainer(container).getArchive({ path, abortSignal })
        return firstFile(await buffer(capped(archive, LARGEST_FILE + 4 * BLOCK)))
      },
      options,
    )
  } catch (error) {
    if (refusalOf(error)?.status === 404) return ''
    throw error
  }
}

/** The regular file at the beginning of a tar archive. */
function firstFile(archive: Buffer): string | undefined {
  if (archive.length < BLOCK || !REGULAR_FILE.has(archive.toString('latin1', 156, 157))) return undefined
  const size = Number.parseInt(archive.toString('latin1', 124, 136), 8)
  const content = archive.subarray(BLOCK, BLOCK + size)
  return content.length === size ? content.toString('utf8') : undefined
}

async function* capped(archive: NodeJS.ReadableStream, maxBytes: number): AsyncGenerator<Buffer> {
  let left = maxBytes
  for await (const chunk of archive) {
    const piece = Buffer.from(chunk).subarray(0, left)
    left -= piece.length
    yield piece
    if (left === 0) return
  }
}
