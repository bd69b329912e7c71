import { constants } from 'node:fs'
import { link, mkdir, open, readdir, rename, stat, truncate, unlink } from 'node:fs/promises'
import { errnoOf } from '../errno.js'
import { syncDirectory, writeDurably } from '../json-file.js'

/** The steps that a mailbox is made of; a test halts between any two. */
export interface DurableFiles {
  /** Empty where there is no such folder. */
  list(folder: string): Promise<string[]>
  /** Writes a new file, and has the disk keep it. Nothing is left of one that failed. */
  write(path: string, text: string): Promise<void>
  /** Undefined for what is no regular file of at most so many bytes, or is not there. */
  read(path: string, maxBytes: number): Promise<string | undefined>
  /** Never overwrites. */
  link(from: string, to: string): Promise<void>
  rename(from: string, to: string): Promise<void>
  /** Nothing to do where there is no such file; false for a folder, which stays. */
  unlink(path: string): Promise<boolean>
  /** Gives the room back; the file stays. */
  empty(path: string): Promise<void>
  /** Nothing to do where there is one; `EEXIST` where something else has its name. */
  makeFolder(path: string): Promise<void>
  /** Has the disk keep the names in a folder. */
  syncFolder(path: string): Promise<void>
}

const NO_FOLLOW = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

export const durableFiles: DurableFiles = {
  async list(folder) {
    try {
      return await readdir(folder)
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return []
      throw error
    }
  },
  write: writeDurably,
  async read(path, maxBytes) {
    try {
      await using file = await open(path, NO_FOLLOW)
      const stats = await file.stat()
      if (!stats.isFile() || stats.size > maxBytes) return undefined
      return await file.readFile('utf8')
    } catch (error) {
      if (NO_FILE.has(errnoOf(error))) return undefined
      throw error
    }
  },
  link,
  rename,
  async unlink(path) {
    try {
      await unlink(path)
    } catch (error) {
      if (IS_FOLDER.has(errnoOf(error))) return false
      if (errnoOf(error) !== 'ENOENT') throw error
    }
    return true
  },
  empty: (path) => truncate(path, 0),
  async makeFolder(path) {
    try {
      await mkdir(path, { mode: 0o700 })
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error
      // A symlink to nowhere is no folder either.
      const stats = await stat(path).catch(() => undefined)
      if (!stats?.isDirectory()) throw error
    }
  },
  syncFolder: syncDirectory,
}

/** What Linux says, and what POSIX does. */
const IS_FOLDER: ReadonlySet<string | undefined> = new Set(['EISDIR', 'EPERM'])
/** Gone, or never ours: a symlink, a socket, a device. */
const NO_FILE: ReadonlySet<string | undefined> = new Set(['ENOENT', 'ELOOP', 'EMLINK', 'ENXIO', 'ENODEV'])
