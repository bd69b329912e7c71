import type { FSWatcher } from 'node:fs'
import { type Folder, walk } from './beneath.js'
import { isWorkspaceError } from './errors.js'
import { watchFolder } from './file-changes.js'
import { namesOf } from './folder-names.js'
import type { OnProblem } from './problem.js'
import { STAGING } from './staging.js'
import { untilAborted } from './until-aborted.js'

const MAX_FOLDERS = 1000
const MAX_PENDING = 10_000

/**
 * Tells which paths of a workspace have changed: made, written, renamed, removed. Each folder is watched through a
 * handle on it, so that no symlink leads the watch elsewhere. Changes that come faster than they are taken are told once.
 */
export function watchTree(
  directory: string,
  outer: AbortSignal | undefined,
  onProblem: OnProblem,
): AsyncIterable<{ path: string }> {
  return untilAborted(async function* (signal) {
    using tree = new WatchedTree(directory, signal, onProblem)
    await tree.add('')
    while (!signal.aborted) {
      const path = tree.take()
      if (path === undefined) await tree.change()
      else {
        await tree.update(path)
        yield { path }
      }
    }
  }, outer)
}

class WatchedTree implements Disposable {
  readonly #directory: string
  readonly #signal: AbortSignal
  readonly #onProblem: OnProblem
  readonly #watchers = new Map<string, FSWatcher>()
  readonly #pending = new Set<string>()
  #limited = false
  #wake: () => void = () => {}

  constructor(directory: string, signal: AbortSignal, onProblem: OnProblem) {
    this.#directory = directory
    this.#signal = signal
    this.#onProblem = onProblem
    signal.addEventListener('abort', this.#onAbort)
  }

  take(): string | undefined {
    for (const path of this.#pending) {
      this.#pending.delete(path)
      return path
    }
    return undefined
  }

  async change(): Promise<void> {
    if (this.#pending.size > 0 || this.#signal.aborted) return
    // Watches alone would not keep the process alive for who waits here.
    const alive = setInterval(() => {}, 2 ** 30)
    await new Promise<void>((resolve) => {
      this.#wake = resolve
    })
    clearInterval(alive)
  }

  /** Begins to watch a folder and all below it. */
  async add(path: string, options: { tell?: boolean } = {}): Promise<void> {
    const below = [path]
    for (let next = below.pop(); next !== undefined && !this.#signal.aborted; next = below.pop()) {
      const folder = this.#open(next)
      if (!folder) continue
      using entered = folder
      if (!this.#watch(entered)) return
      for await (const { name } of namesOf(entered)) {
        if (name === undefined || (next === '' && name === STAGING)) continue
        const found = entered.pathOf(name)
        if (options.tell) this.#tell(found)
        if (below.length < MAX_FOLDERS && isFolder(entered, name)) below.push(found)
      }
    }
  }

  /** What has changed may be a folder that is new, or one that is gone. */
  async update(path: string): Promise<void> {
    const folder = this.#open(path)
    if (folder) {
      folder[Symbol.dispose]()
      if (!this.#watchers.has(path)) await this.add(path, { tell: true })
      return
    }
    for (const [watched, watcher] of this.#watchers) {
      if (watched !== path && !watched.startsWith(`${path}/`)) continue
      watcher.close()
      this.#watchers.delete(watched)
    }
  }

  [Symbol.dispose](): void {
    this.#signal.removeEventListener('abort', this.#onAbort)
    for (const watcher of this.#watchers.values()) watcher.close()
    this.#watchers.clear()
  }

  readonly #onAbort = (): void => this.#wake()

  #open(path: string): Folder | undefined {
    try {
      return walk(this.#directory, path === '' ? [] : path.split('/'))
    } catch (error) {
      // A file, or gone, or never to be entered, also for its name: then there is nothing to watch below it.
      if (isWorkspaceError(error, 'NOT_FOUND', 'NOT_A_DIRECTORY', 'ACCESS_DENIED', 'INVALID_PATH'))
        return undefined
      throw error
    }
  }

  #watch(folder: Folder): boolean {
    if (this.#watchers.has(folder.path)) return true
    const watcher =
      this.#watchers.size < MAX_FOLDERS
        ? watchFolder(folder.location, (name) => {
            if (name !== null && !(folder.path === '' && name === STAGING)) this.#tell(folder.pathOf(name))
          })
        : undefined
    if (watcher) this.#watchers.set(folder.path, watcher)
    else if (!this.#limited) {
      this.#limited = true
      this.#onProblem({
        file: folder.path,
        message: `Only ${this.#watchers.size} folders are watched: there are more than the limit, of this package or of the system (fs.inotify.max_user_watches).`,
      })
    }
    return watcher !== undefined
  }

  #tell(path: string): void {
    if (this.#pending.size < MAX_PENDING) this.#pending.add(path)
    this.#wake()
  }
}

function isFolder(parent: Folder, name: string): boolean {
  try {
    parent.enter(name)[Symbol.dispose]()
    return true
  } catch {
    // Whatever it is, it is not entered.
    return false
  }
}
