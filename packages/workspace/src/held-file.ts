import { closeSync, fdatasync, fstatSync, fsync, read, readSync, type Stats, write } from 'node:fs'
import { promisify } from 'node:util'
import { systemFailure, tooLarge } from './errors.js'

const readAsync = promisify(read)
const writeAsync = promisify(write)
const fsyncAsync = promisify(fsync)
const fdatasyncAsync = promisify(fdatasync)
const SEARCHED = 256 * 1024
const SEARCH_LIMIT = 64 * 1024 * 1024

/** An open regular file. Reads name their position, so that several readers can share it. */
export class HeldFile implements Disposable {
  readonly fd: number
  /** Below the workspace, for messages. */
  readonly path: string
  /** As it was when opened. */
  readonly stats: Stats
  #open = true

  constructor(fd: number, path: string, stats: Stats) {
    this.fd = fd
    this.path = path
    this.stats = stats
  }

  /** Fills `buffer` from `position` as far as the file reaches; resolves with how many bytes that were. */
  async read(buffer: Uint8Array, position: number): Promise<number> {
    let filled = 0
    try {
      while (filled < buffer.byteLength) {
        const { bytesRead } = await readAsync(
          this.fd,
          buffer,
          filled,
          buffer.byteLength - filled,
          position + filled,
        )
        if (bytesRead === 0) break
        filled += bytesRead
      }
    } catch (error) {
      throw systemFailure(error, this.path)
    }
    return filled
  }

  /** As `read`, for a few bytes that the page cache holds. */
  readSync(buffer: Uint8Array, position: number): number {
    let filled = 0
    try {
      while (filled < buffer.byteLength) {
        const bytes = readSync(this.fd, buffer, filled, buffer.byteLength - filled, position + filled)
        if (bytes === 0) break
        filled += bytes
      }
    } catch (error) {
      throw systemFailure(error, this.path)
    }
    return filled
  }

  /** Where `bytes` stand first, from `start` on and in the last 64 MiB; -1 when they do not. */
  async find(bytes: Uint8Array, start: number): Promise<number> {
    const block = Buffer.allocUnsafe(SEARCHED + bytes.length)
    const end = this.size()
    for (let at = Math.max(start, end - SEARCH_LIMIT); at < end; at += SEARCHED) {
      const found = block.subarray(0, await this.read(block, at)).indexOf(bytes)
      if (found !== -1) return at + found
    }
    return -1
  }

  /**
   * All of the file.
   *
   * @throws WorkspaceError `TOO_LARGE` when it is, or while it is read becomes, larger than `limit` bytes
   */
  async readAll(limit: number): Promise<Buffer> {
    this.#assertWithin(this.stats.size, limit)
    let bytes = Buffer.allocUnsafe(this.stats.size + 1)
    let filled = await this.read(bytes, 0)
    while (filled === bytes.length) {
      this.#assertWithin(filled, limit)
      bytes = Buffer.concat([bytes], Math.min(limit + 1, filled * 2))
      filled += await this.read(bytes.subarray(filled), filled)
    }
    return bytes.subarray(0, filled)
  }

  /** As `readAll`, synchronously: for the moment in which nobody else may come in between. */
  readAllSync(limit: number): Buffer {
    this.#assertWithin(this.stats.size, limit)
    const bytes = Buffer.allocUnsafe(limit + 1)
    const filled = this.readSync(bytes, 0)
    this.#assertWithin(filled, limit)
    return bytes.subarray(0, filled)
  }

  /** One `write(2)` at the current position, or at the end with `O_APPEND`. Resolves with how much was taken. */
  async writeOnce(bytes: Uint8Array): Promise<number> {
    try {
      return (await writeAsync(this.fd, bytes, 0, bytes.byteLength, null)).bytesWritten
    } catch (error) {
      throw systemFailure(error, this.path)
    }
  }

  /** Writes all of `bytes`, at `position` or at the current one. */
  async writeAll(bytes: Uint8Array, position?: number): Promise<void> {
    try {
      for (let done = 0; done < bytes.byteLength; ) {
        const at = position === undefined ? null : position + done
        done += (await writeAsync(this.fd, bytes, done, bytes.byteLength - done, at)).bytesWritten
      }
    } catch (error) {
      throw systemFailure(error, this.path)
    }
  }

  /** Puts what was written, and the file's own attributes, onto the disk. */
  async sync(): Promise<void> {
    try {
      await fsyncAsync(this.fd)
    } catch (error) {
      throw systemFailure(error, this.path)
    }
  }

  /** Puts what was written onto the disk. */
  async syncData(): Promise<void> {
    try {
      await fdatasyncAsync(this.fd)
    } catch (error) {
      throw systemFailure(error, this.path)
    }
  }

  size(): number {
    return fstatSync(this.fd).size
  }

  /** How many names it has now. */
  links(): number {
    return fstatSync(this.fd).nlink
  }

  /** Which file this is, whatever its name: two handles with the same identity share their content. */
  identity(): string {
    return identityOf(fstatSync(this.fd, { bigint: true }))
  }

  /** Gives the descriptor away: disposing no longer closes it. */
  release(): number {
    this.#open = false
    return this.fd
  }

  [Symbol.dispose](): void {
    if (this.#open) closeSync(this.fd)
    this.#open = false
  }

  #assertWithin(bytes: number, limit: number): void {
    if (bytes > limit) throw tooLarge(this.path, bytes, limit, 'Make it smaller, or read it as a stream.')
  }
}

export function identityOf(stats: { dev: bigint; ino: bigint }): string {
  return `${stats.dev}:${stats.ino}`
}
