import { type BigIntStats, constants, type Dirent } from 'node:fs'
import { chmod, type FileHandle, lstat, open, opendir } from 'node:fs/promises'

const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW
const LINUX = process.platform === 'linux'
/** Linux's `O_PATH`, which Node does not name: holds a file without any right to it. */
const O_PATH = 0o10000000
/** Entries read in one go. */
const READ_AHEAD = 64

/**
 * A folder held open, whose contents may belong to somebody hostile: what is reached through it lies in this very
 * folder, whatever happens to its name meanwhile, and no symlink is followed on the way. Names are bytes, not text, so
 * they are carried as latin1 strings, one character for each byte; {@link shownName} makes them readable.
 *
 * Off Linux, which has no `/proc/self/fd`, the folder is reached by its path instead: exchanging a folder for a symlink
 * at the right moment, or a very deep tree, can lead astray there.
 */
export class HeldDirectory {
  readonly #handle: FileHandle
  readonly #path: string

  private constructor(handle: FileHandle, path: string) {
    this.#handle = handle
    this.#path = LINUX ? `/proc/self/fd/${handle.fd}` : path
  }

  /** @throws the system's error: `ELOOP` or `ENOTDIR` for what is no folder itself */
  static async open(path: string): Promise<HeldDirectory> {
    return new HeldDirectory(await open(path, DIRECTORY), Buffer.from(path).toString('latin1'))
  }

  async openChild(name: string): Promise<HeldDirectory> {
    return new HeldDirectory(await open(this.pathOf(name), DIRECTORY), `${this.#path}/${name}`)
  }

  /** The folder that this one lies in now, which need not be the one it was found in. */
  openParent(): Promise<HeldDirectory> {
    return this.openChild('..')
  }

  /** What lies in it, in no order; entries made or removed meanwhile may or may not be among them. */
  entries(): Promise<AsyncIterable<Dirent>> {
    return opendir(Buffer.from(this.#path, 'latin1'), { encoding: 'latin1', bufferSize: READ_AHEAD })
  }

  /** Of the entry itself, never of what a symlink points to. */
  statOf(name: string): Promise<BigIntStats> {
    return lstat(this.pathOf(name), { bigint: true })
  }

  stat(): Promise<BigIntStats> {
    return this.#handle.stat({ bigint: true })
  }

  chmod(mode: number): Promise<void> {
    return this.#handle.chmod(mode)
  }

  /** How the system reaches an entry. */
  pathOf(name: string): Buffer {
    return Buffer.from(`${this.#path}/${name}`, 'latin1')
  }

  close(): Promise<void> {
    return this.#handle.close()
  }
}

/** Gives the owner of a folder all rights to it, also where it cannot even be opened. Linux only: it holds the folder. */
export async function grantOwner(path: string | Buffer): Promise<void> {
  const handle = await open(path, O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW)
  try {
    await chmod(`/proc/self/fd/${handle.fd}`, 0o700)
  } finally {
    await handle.close()
  }
}

/** A name as people read it. */
export function shownName(name: string): string {
  return Buffer.from(name, 'latin1').toString('utf8')
}
