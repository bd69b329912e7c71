import { randomBytes } from 'node:crypto'
import {
  closeSync,
  constants,
  fsync,
  linkSync,
  lstatSync,
  opendirSync,
  renameSync,
  type Stats,
  unlinkSync,
} from 'node:fs'
import { promisify } from 'node:util'
import { Folder, inherit, openDirectory } from './beneath.js'
import { errnoOf, systemFailure, WorkspaceError } from './errors.js'
import type { HeldFile } from './held-file.js'

const fsyncAsync = promisify(fsync)

/** Where files are written before they replace others: in the workspace, so that a rename is all it takes. */
export const STAGING = '.tenantbox'
const MAX_STAGED = 1024
const STALE_MS = 10 * 60_000

/**
 * A file that is written aside and takes its place in one step. Until `commit` nothing is seen of it; a crash leaves the
 * old file as it was, and a stray file in `.tenantbox/` that a later writer removes.
 *
 * Replacing a file only if it has not changed needs more than a rename, and a tenant's folder has no lock that a
 * suspended process could not sit on. So `commitIf` fences: each writer first shows its claim, then removes every other
 * claim to the same target, then looks at the target, then renames its own claim. Of two that overlap at least one has
 * removed the other's claim, whose rename then fails; and whoever came to its end before is seen by the look.
 */
export class StagedFile implements AsyncDisposable {
  readonly #root: Folder
  readonly #staging: Folder
  readonly #target: string
  readonly #file: HeldFile
  #name: string
  #state: 'writing' | 'committed' = 'writing'

  private constructor(root: Folder, staging: Folder, target: string, name: string, file: HeldFile) {
    this.#root = root
    this.#staging = staging
    this.#target = target
    this.#name = name
    this.#file = file
  }

  /** @param target What the file is for. Claims are to a target. */
  static create(directory: string, target: string): StagedFile {
    const root = Folder.root(directory)
    let staging: Folder | undefined
    try {
      staging = root.enter(STAGING, { create: true })
      const name = `${target}.${randomBytes(12).toString('hex')}.tmp`
      const file = staging.open(name, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL)
      return new StagedFile(root, staging, target, name, file)
    } catch (error) {
      staging?.[Symbol.dispose]()
      root[Symbol.dispose]()
      throw error
    }
  }

  get file(): HeldFile {
    return this.#file
  }

  /** Takes the place of `name` in `parent`, whatever is there now, short of a folder. */
  async commit(parent: Folder, name: string): Promise<void> {
    await this.#finish(parent, name)
    this.#moveTo(parent.locationOf(name), parent.pathOf(name))
    this.#state = 'committed'
    await syncFolder(parent)
  }

  /**
   * Takes the place of the target, a file of the workspace itself, unless somebody else claims it at the same moment:
   * then resolves with false, and all is to be done anew.
   *
   * @param check Called when nobody else can come in between any more, to throw if the target is not as it should be;
   * it must not wait.
   */
  async commitIf(check: () => void): Promise<boolean> {
    await this.#finish(this.#root, this.#target)
    if (!this.#claim()) return false
    check()
    return this.commitClaim()
  }

  /** The second half of {@link commitIf} for who has more to do between claim and rename. */
  async commitClaim(): Promise<boolean> {
    try {
      renameSync(this.#staging.locationOf(this.#name), this.#root.locationOf(this.#target))
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return false
      throw systemFailure(error, this.#target)
    }
    this.#state = 'committed'
    await syncFolder(this.#root)
    return true
  }

  /** Gives a claimed file another name; false when somebody else has fenced the claim off. */
  link(folder: Folder, name: string): boolean {
    try {
      linkSync(this.#staging.locationOf(this.#name), folder.locationOf(name))
      return true
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return false
      throw systemFailure(error, folder.pathOf(name))
    }
  }

  /** The first half of {@link commitIf}. */
  async claim(): Promise<boolean> {
    await this.#finish(this.#root, this.#target)
    return this.#claim()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#file[Symbol.dispose]()
      if (this.#state === 'writing') removeIfThere(this.#staging, this.#name)
    } finally {
      this.#staging[Symbol.dispose]()
      this.#root[Symbol.dispose]()
    }
  }

  async #finish(parent: Folder, name: string): Promise<void> {
    takeOver(this.#file.fd, parent, name)
    await this.#file.sync()
  }

  #claim(): boolean {
    const claim = this.#name.replace(/\.tmp$/, '.claim')
    try {
      renameSync(this.#staging.locationOf(this.#name), this.#staging.locationOf(claim))
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return false
      throw systemFailure(error, this.#target)
    }
    this.#name = claim
    fence(this.#staging, this.#target, claim)
    return true
  }

  #moveTo(location: string, path: string): void {
    try {
      renameSync(this.#staging.locationOf(this.#name), location)
    } catch (error) {
      throw systemFailure(error, path)
    }
  }
}

/** Removes what others have claimed, and what was left behind by writers that died. */
function fence(staging: Folder, target: string, mine: string): void {
  const names = opendirSync(staging.location)
  try {
    let seen = 0
    for (let entry = names.readSync(); entry; entry = names.readSync()) {
      if (++seen > MAX_STAGED) throw tooMany()
      const { name } = entry
      if (name === mine) continue
      const rival = name.endsWith('.claim') && name.startsWith(`${target}.`)
      if (rival || isStale(staging, name)) removeIfThere(staging, name)
    }
  } finally {
    names.closeSync()
  }
}

function isStale(staging: Folder, name: string): boolean {
  const stats = lstatSync(staging.locationOf(name), { throwIfNoEntry: false })
  return stats !== undefined && stats.mtimeMs < Date.now() - STALE_MS
}

function removeIfThere(folder: Folder, name: string): void {
  try {
    unlinkSync(folder.locationOf(name))
  } catch (error) {
    // Gone already is as good. A folder is not ours, and what may not be removed is not in the way either.
    if (!['ENOENT', 'EISDIR', 'EPERM', 'EACCES'].includes(errnoOf(error) ?? ''))
      throw systemFailure(error, folder.pathOf(name))
  }
}

/** Gives a new file the owner and mode of the one it replaces, or else those that fit its folder. */
function takeOver(fd: number, parent: Folder, name: string): void {
  const old = lstatSync(parent.locationOf(name), { throwIfNoEntry: false })
  if (old?.isFile()) inherit(fd, old, old.mode & 0o777)
  else inheritFolder(fd, parent.stat())
}

/** Who may list a folder may read a new file in it; who may add to it may write the file. */
export function inheritFolder(fd: number, folder: Stats): void {
  inherit(fd, folder, folder.mode & 0o666)
}

/** Puts a folder's names onto the disk. */
export async function syncFolder(folder: Folder): Promise<void> {
  const fd = openDirectory(folder)
  try {
    await fsyncAsync(fd)
  } catch (error) {
    // Some file systems have no fsync for folders; there a rename is as durable as it gets.
    if (errnoOf(error) !== 'EINVAL') throw systemFailure(error, folder.path)
  } finally {
    closeSync(fd)
  }
}

function tooMany(): Error {
  return new WorkspaceError(
    'INVALID_FILE',
    `${STAGING}/ holds more than ${MAX_STAGED} files. It is for half-written files only: empty it.`,
    { path: STAGING, reason: 'holds too many files' },
  )
}
