import { buffer } from 'node:stream/consumers'

const BLOCK = 512
const REGULAR_FILE = new Set(['0', '\0'])

/** The content of the one regular file at the beginning of a tar archive; undefined when it holds something else. */
export async function readTarredFile(
  archive: NodeJS.ReadableStream,
  maxBytes: number,
): Promise<Buffer | undefined> {
  const bytes = await buffer(capped(archive, maxBytes + 4 * BLOCK))
  if (bytes.length < BLOCK || !REGULAR_FILE.has(bytes.toString('latin1', 156, 157))) return undefined
  const size = Number.parseInt(bytes.toString('latin1', 124, 136), 8)
  const content = bytes.subarray(BLOCK, BLOCK + size)
  return content.length === size && size <= maxBytes ? content : undefined
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
