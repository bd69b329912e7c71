import { type FSWatcher, watch } from 'node:fs'

/** Where the kernel's notice does not cross (another kernel in a sandbox, a network file system), a look now and then. */
const POLL_MS = 1000

/** Tells when one file of a folder may have changed. The folder's path must be trusted. */
export class FileChanges implements Disposable {
  readonly #watcher: FSWatcher | undefined
  readonly #signal: AbortSignal
  #changed = false
  #wake: () => void = () => {}

  constructor(directory: string, name: string, signal: AbortSignal) {
    this.#signal = signal
    signal.addEventListener('abort', this.#onAbort)
    this.#watcher = watchFolder(directory, (changed) => {
      if (changed === null || changed === name) this.#onChange()
    })
  }

  /** Resolves after a change since the last call, after a while, or when the signal aborts. */
  async next(): Promise<void> {
    if (!this.#changed && !this.#signal.aborted)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, POLL_MS)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    this.#changed = false
  }

  [Symbol.dispose](): void {
    this.#signal.removeEventListener('abort', this.#onAbort)
    this.#watcher?.close()
  }

  readonly #onAbort = (): void => this.#wake()

  #onChange(): void {
    this.#changed = true
    this.#wake()
  }
}

/** Watches one folder; undefined when the system has no watches left. What goes wrong later only ends the notices. */
export function watchFolder(
  location: string,
  onChange: (name: string | null) => void,
): FSWatcher | undefined {
  try {
    const watcher = watch(location, { persistent: false }, (_event, name) => onChange(name))
    watcher.on('error', () => watcher.close())
    return watcher
  } catch {
    // ENOSPC and EMFILE here are about watches, not about disks: callers poll, or say so.
    return undefined
  }
}
