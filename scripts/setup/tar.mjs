import { createReadStream, statSync } from 'node:fs'
import { basename, dirname } from 'node:path'

/**
 * What goes into an archive, all of it root's: a folder, a symbolic link, a file with `text`, or a copy of the file `from`.
 * @typedef {{ path: string, mode?: number } & ({ kind: 'folder' } | { link: string } | { text: string } | { from: string })} TarEntry
 */

const BLOCK = 512

/**
 * @param {Iterable<TarEntry>} entries
 * @returns {AsyncGenerator<Buffer>} a tar archive (ustar) of them
 */
export async function* tar(entries) {
  for (const entry of entries) {
    if ('from' in entry) {
      const { size } = statSync(entry.from)
      yield header(entry, '0', size)
      yield* createReadStream(entry.from, { highWaterMark: 1024 ** 2 })
      yield padding(size)
    } else if ('text' in entry) {
      const bytes = Buffer.from(entry.text)
      yield Buffer.concat([header(entry, '0', bytes.length), bytes, padding(bytes.length)])
    } else {
      yield header(entry, 'link' in entry ? '2' : '5', 0)
    }
  }
  yield Buffer.alloc(2 * BLOCK)
}

/**
 * @param {TarEntry} entry
 * @param {'0' | '2' | '5'} type file, symbolic link or folder
 * @param {number} size
 */
function header(entry, type, size) {
  const block = Buffer.alloc(BLOCK)
  /** @type {(at: number, length: number, value: number) => void} */
  const octal = (at, length, value) =>
    void block.write(value.toString(8).padStart(length - 1, '0'), at, 'latin1')
  const path = entry.path.replace(/^\//, '')
  block.write(basename(path), 0, 100)
  octal(100, 8, entry.mode ?? (type === '0' ? 0o644 : 0o755))
  octal(108, 8, 0)
  octal(116, 8, 0)
  octal(124, 12, size)
  octal(136, 12, 0)
  block.write(type, 156, 'latin1')
  if ('link' in entry) block.write(entry.link, 157, 100)
  block.write('ustar\x0000', 257, 'latin1')
  if (dirname(path) !== '.') block.write(dirname(path), 345, 155)
  // The checksum counts itself as blanks.
  block.fill(' ', 148, 156)
  octal(
    148,
    7,
    block.reduce((sum, byte) => sum + byte, 0),
  )
  return block
}

/** @param {number} size */
function padding(size) {
  return Buffer.alloc((BLOCK - (size % BLOCK)) % BLOCK)
}
