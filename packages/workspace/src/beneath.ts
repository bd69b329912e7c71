import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  realpathSync,
  type Stats,
} from 'node:fs'
import { errnoOf, type FileKind, shown, systemFailure, WorkspaceError } from './errors.js'
import { HeldFile } from './held-file.js'
import { splitPath } from './relative-path.js'

/*
 * The one place where names inside a workspace become open files. The other side of the folder is hostile, so a name is
 * only ever looked up in a folder that is held open, one component at a time, and no symlink is followed. The system
 * calls here are synchronous on purpose: none of them can block (`O_NONBLOCK`, and nothing but metadata is touched),
 * each takes microseconds, and four turns through the thread pool would cost more than the work.
 */

const LINUX = process.platform === 'linux'
/** Linux's `O_PATH`, which Node does not name: holds a folder without reading it. */
const O_PATH = LINUX ? 0o10000000 : 0
const ENTER = O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW
/** Windows has none of these flags. */
const SAFELY = (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0) | (constants.O_NOCTTY ?? 0)

/** A folder that is held open: what is looked up in it stays in it, whatever happens to its name meanwhile. */
export class Folder implements Disposable {
  readonly #fd: number
  /** Where the system finds the folder: through the handle on Linux, by its checked path elsewhere. */
  readonly location: string
  /** Its path below the workspace, for messages; empty for the workspace itself. */
  readonly path: string

  private constructor(fd: number, location: string, path: string) {
    this.#fd = fd
    this.location = LINUX ? `/proc/self/fd/${fd}` : location
    this.path = path
  }

  /** Opens the workspace. Its own path is the caller's, not the tenant's: symlinks above it are followed. */
  static root(directory: string): Folder {
    try {
      const location = LINUX ? directory : realpathSync(directory)
      return new Folder(openSync(location, O_PATH | constants.O_DIRECTORY), location, '')
    } catch (error) {
      const code = errnoOf(error)
      if (code === 'ENOENT' || code === 'ENOTDIR')
        throw new WorkspaceError(
          code === 'ENOENT' ? 'NOT_FOUND' : 'NOT_A_DIRECTORY',
          `The workspace ${shown(directory)} is not there or is no folder. Make it first.`,
          { path: directory, kind: 'unknown' },
          { cause: error },
        )
      throw systemFailure(error, directory)
    }
  }

  /**
   * Opens a folder of the workspace. The path to the workspace is trusted, so that the workspace itself need not be held
   * for that.
   */
  static in(directory: string, name: string, options: { create?: boolean } = {}): Folder {
    const location = `${directory}/${name}`
    try {
      if (!LINUX) assertNoSymlink(location)
      return new Folder(openSync(location, ENTER), location, name)
    } catch {
      // What it is, and whether it is to be made, is seen from the workspace.
      using root = Folder.root(directory)
      return root.enter(name, options)
    }
  }

  /** Opens the sub-folder `name`, making it if asked to. */
  enter(name: string, options: { create?: boolean } = {}): Folder {
    const path = this.pathOf(name)
    const location = this.locationOf(name)
    try {
      if (!LINUX) assertNoSymlink(location)
      return new Folder(openSync(location, ENTER), location, path)
    } catch (error) {
      const code = errnoOf(error)
      if (code === 'ENOENT' && options.create) return this.#make(name)
      if (code === 'ENOTDIR' || code === 'ELOOP') throw notADirectory(path, kindAt(location), error)
      throw systemFailure(error, path)
    }
  }

  /** Opens the regular file `name`. `flags` as in `open(2)`, without those that make it safe. */
  open(name: string, flags: number, options: OpenOptions = {}): HeldFile {
    return openRegular(this.locationOf(name), this.pathOf(name), flags, options)
  }

  /** The state of the folder itself. */
  stat(): Stats {
    return fstatSync(this.#fd)
  }

  locationOf(name: string): string {
    return `${this.location}/${name}`
  }

  pathOf(name: string): string {
    return this.path === '' ? name : `${this.path}/${name}`
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd)
  }

  #make(name: string): Folder {
    try {
      mkdirSync(this.locationOf(name), 0o700)
    } catch (error) {
      // Somebody else made it just now; whether it is a folder is seen by entering it.
      if (errnoOf(error) !== 'EEXIST') throw systemFailure(error, this.pathOf(name))
      return this.enter(name)
    }
    const parent = this.stat()
    const made = openDirectory(this, name)
    try {
      inherit(made, parent, parent.mode & 0o2777)
    } finally {
      closeSync(made)
    }
    return this.enter(name)
  }
}

export interface OpenOptions {
  /** Hard links the file may have. More than one means that it may also be a file elsewhere. @default 1 */
  links?: number
}

/** Opens what `location` names if it is a regular file with no other name; anything else is a typed error. */
export function openRegular(
  location: string,
  path: string,
  flags: number,
  options: OpenOptions = {},
): HeldFile {
  let fd: number
  try {
    if (!LINUX) assertNoSymlink(location)
    fd = openSync(location, flags | SAFELY, 0o600)
  } catch (error) {
    throw openFailure(error, location, path)
  }
  try {
    const stats = fstatSync(fd)
    if (!stats.isFile()) throw notAFile(path, kindOf(stats))
    if (stats.nlink > (options.links ?? 1)) throw notAFile(path, 'hard link')
    return new HeldFile(fd, path, stats)
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

/** Opens the folder a file lies in, component by component; the caller disposes of it. */
export function enterParent(
  directory: string,
  path: string,
  options: { create?: boolean } = {},
): { parent: Folder; name: string } {
  const names = splitPath(path)
  return { parent: walk(directory, names.slice(0, -1), options), name: names[names.length - 1] ?? '' }
}

/** Opens a folder of the workspace, component by component; the workspace itself for no names at all. */
export function walk(
  directory: string,
  names: readonly string[],
  options: { create?: boolean } = {},
): Folder {
  const [first, ...rest] = names
  if (first === undefined) return Folder.root(directory)
  let folder = Folder.in(directory, first, options)
  for (const name of rest) {
    using above = folder
    folder = above.enter(name, options)
  }
  return folder
}

/**
 * Opens a file of the workspace for reading. One that lies in the workspace itself needs no walk: the path to the
 * workspace is trusted, and `O_NOFOLLOW` covers the only component that is not.
 */
export function openToRead(directory: string, path: string, options: OpenOptions = {}): HeldFile {
  const names = splitPath(path)
  if (names.length === 1) return openRegular(`${directory}/${names[0]}`, path, constants.O_RDONLY, options)
  using parent = walk(directory, names.slice(0, -1))
  return parent.open(names[names.length - 1] ?? '', constants.O_RDONLY, options)
}

/**
 * Gives a new file or folder the owner of the one it replaces, or of the folder it lies in: what a gateway that runs as
 * root makes must belong to the tenant. Where this process is not root, it does what it may for the group.
 */
export function inherit(fd: number, from: Stats, mode: number): void {
  if (process.getuid?.() === 0) fchownSync(fd, from.uid, from.gid)
  else if (fstatSync(fd).gid !== from.gid) tryToShare(fd, from.gid)
  fchmodSync(fd, mode)
}

function tryToShare(fd: number, gid: number): void {
  try {
    fchownSync(fd, fstatSync(fd).uid, gid)
  } catch (error) {
    // A group that this process is not in: then the file stays in its own.
    if (errnoOf(error) !== 'EPERM') throw error
  }
}

/** Opens a folder in a way that allows `fsync`, which an `O_PATH` handle does not. The caller closes it. */
export function openDirectory(parent: Folder, name = '.'): number {
  try {
    return openSync(
      parent.locationOf(name),
      constants.O_RDONLY | constants.O_DIRECTORY | (constants.O_NOFOLLOW ?? 0),
    )
  } catch (error) {
    throw systemFailure(error, parent.pathOf(name))
  }
}

export function kindOf(stats: Stats): FileKind {
  if (stats.isFile()) return 'file'
  if (stats.isDirectory()) return 'directory'
  if (stats.isSymbolicLink()) return 'symlink'
  if (stats.isFIFO()) return 'fifo'
  if (stats.isSocket()) return 'socket'
  return 'device'
}

export function notAFile(path: string, kind: FileKind, cause?: unknown): WorkspaceError<'NOT_A_FILE'> {
  const what =
    kind === 'hard link' ? 'has more than one name (hard links)' : `is a ${kind}, not a regular file`
  return new WorkspaceError(
    'NOT_A_FILE',
    `${shown(path)} ${what}, so it is not opened. Put a regular file there, or remove it.`,
    { path, kind },
    { cause },
  )
}

function notADirectory(path: string, kind: FileKind, cause: unknown): WorkspaceError<'NOT_A_DIRECTORY'> {
  return new WorkspaceError(
    'NOT_A_DIRECTORY',
    `${shown(path)} is a ${kind}, not a folder, so nothing below it is opened. Put a folder there, or remove it.`,
    { path, kind },
    { cause },
  )
}

function openFailure(error: unknown, location: string, path: string): Error {
  const code = errnoOf(error)
  const kind =
    code === 'ENXIO' || code === 'EISDIR' || code === 'ELOOP' || code === 'ENODEV' ? kindAt(location) : 'file'
  // Whatever it has become by now, it was no regular file when it was opened.
  return kind === 'file' ? systemFailure(error, path) : notAFile(path, kind, error)
}

/** What stands at a path, for a message only: it may have changed since. */
function kindAt(location: string): FileKind {
  const stats = lstatSync(location, { throwIfNoEntry: false })
  return stats ? kindOf(stats) : 'unknown'
}

/** Where folders cannot be held, symlinks are looked for by path; that leaves the moment between check and use. */
function assertNoSymlink(location: string): void {
  if (!lstatSync(location, { throwIfNoEntry: false })?.isSymbolicLink()) return
  throw Object.assign(new Error(`${location} is a symlink`), { code: 'ELOOP' })
}
