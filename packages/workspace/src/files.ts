import { createReadStream, lstatSync, unlinkSync } from 'node:fs'
import { Readable, Writable } from 'node:stream'
import { enterParent, type Folder, kindOf, notAFile, openToRead, walk } from './beneath.js'
import { errnoOf, isWorkspaceError, systemFailure } from './errors.js'
import { namesOf } from './folder-names.js'
import { type OnProblem, ProblemReport } from './problem.js'
import { splitPath } from './relative-path.js'
import { StagedFile } from './staging.js'

const DEFAULT_MAX_BYTES = 16 * 1024 * 1024

export interface ListedFile {
  /** Below the workspace. */
  path: string
  /** `other` for what is never opened: symlinks, FIFOs, sockets, devices. */
  kind: 'file' | 'directory' | 'other'
  bytes: number
  modifiedAt: Date
}

export interface ReadFileOptions {
  /** @default 16 MiB */
  maxBytes?: number
}

/** Any files of the workspace. Paths are relative to it; symlinks are never followed. */
export class Files {
  readonly #directory: string
  readonly #onProblem: OnProblem

  constructor(directory: string, onProblem: OnProblem) {
    this.#directory = directory
    this.#onProblem = onProblem
  }

  /** @throws WorkspaceError `NOT_FOUND`, `NOT_A_FILE`, `NOT_A_DIRECTORY`, `INVALID_PATH`, `TOO_LARGE` */
  async read(path: string, options: ReadFileOptions = {}): Promise<Uint8Array> {
    using file = openToRead(this.#directory, path)
    // Awaited here: the file is closed when this function ends.
    return await file.readAll(options.maxBytes ?? DEFAULT_MAX_BYTES)
  }

  /** As `read`, as UTF-8; a byte order mark is dropped, what is not valid becomes U+FFFD. */
  async text(path: string, options: ReadFileOptions = {}): Promise<string> {
    return new TextDecoder().decode(await this.read(path, options))
  }

  /**
   * Writes a file as a whole: until it is complete and on the disk, the old one stays. Makes the folders it lies in.
   *
   * @throws WorkspaceError `NO_SPACE`, `NOT_A_FILE` when something else is there
   */
  async write(path: string, data: string | Uint8Array): Promise<void> {
    const bytes = typeof data === 'string' ? Buffer.from(data) : data
    await using staged = this.#stage(path)
    await staged.file.writeAll(bytes)
    await this.#commit(staged, path)
  }

  /** Removes a file, or whatever else is no folder; false when there was nothing. */
  async remove(path: string): Promise<boolean> {
    try {
      const { parent, name } = enterParent(this.#directory, path)
      using folder = parent
      const location = folder.locationOf(name)
      if (lstatSync(location, { throwIfNoEntry: false })?.isDirectory()) throw notAFile(path, 'directory')
      unlinkSync(location)
      return true
    } catch (error) {
      if (errnoOf(error) === 'ENOENT' || isWorkspaceError(error, 'NOT_FOUND')) return false
      throw systemFailure(error, path)
    }
  }

  /** What a folder holds, in no particular order; the workspace itself by default. */
  async *list(path?: string): AsyncGenerator<ListedFile> {
    using folder = walk(this.#directory, path === undefined ? [] : splitPath(path))
    const report = new ProblemReport(this.#onProblem)
    for await (const { name } of namesOf(folder)) {
      if (name === undefined) {
        report.add({
          file: folder.path,
          message: 'A name in this folder is not valid UTF-8; it is left out.',
        })
        continue
      }
      const stats = lstatSync(folder.locationOf(name), { throwIfNoEntry: false })
      if (!stats) continue
      const kind = stats.isFile() ? 'file' : stats.isDirectory() ? 'directory' : 'other'
      yield { path: folder.pathOf(name), kind, bytes: stats.size, modifiedAt: stats.mtime }
    }
  }

  /** Streams a file as long as it is now, of any size. Destroy what you do not read to its end. */
  async createReadStream(path: string): Promise<Readable> {
    using file = openToRead(this.#directory, path)
    if (file.stats.size === 0) return Readable.from([])
    return createReadStream('', { fd: file.release(), start: 0, end: file.stats.size - 1 })
  }

  /**
   * As `write`, from a stream: the file appears when the stream finishes, and not at all when it is destroyed. End
   * or destroy it: until then it holds the half-written file open.
   */
  async createWriteStream(path: string): Promise<Writable> {
    const staged = this.#stage(path)
    let step = Promise.resolve()
    const take = (next: Promise<void>, done: (error?: Error) => void): void => {
      step = next.then(() => done(), done)
    }
    return new Writable({
      write: (chunk: Buffer, _encoding, done) => take(staged.file.writeAll(chunk), done),
      final: (done) => take(this.#commit(staged, path), done),
      // Closed in the middle of a write, the descriptor could become another file's, which would then be written to.
      destroy: (error, done) => {
        step.then(() => staged[Symbol.asyncDispose]()).then(() => done(error), done)
      },
    })
  }

  #stage(path: string): StagedFile {
    const { parent, name } = enterParent(this.#directory, path, { create: true })
    using folder = parent
    assertReplaceable(folder, name)
    return StagedFile.create(this.#directory, 'file')
  }

  async #commit(staged: StagedFile, path: string): Promise<void> {
    const { parent, name } = enterParent(this.#directory, path, { create: true })
    using folder = parent
    assertReplaceable(folder, name)
    await staged.commit(folder, name)
  }
}

function assertReplaceable(folder: Folder, name: string): void {
  const stats = lstatSync(folder.locationOf(name), { throwIfNoEntry: false })
  if (stats && !stats.isFile()) throw notAFile(folder.pathOf(name), kindOf(stats))
}
