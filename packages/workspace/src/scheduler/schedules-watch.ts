import { type FSWatcher, lstatSync } from 'node:fs'
import { watchFolder } from '../file-changes.js'
import { SCHEDULES_FILE } from '../schedules.js'
import type { Clock } from './clock.js'

/** A tenant that writes all the time is listened to this often, and less often when its file takes long to read. */
const SETTLE_MS = 200
const REST_PER_READING = 20

/**
 * Tells when a tenant's file has changed. Each notice ends the watch for a moment: whatever the tenant does in its
 * folder, and however often, it costs a few looks at one file per second.
 */
export class SchedulesWatch {
  readonly #directory: string
  readonly #clock: Clock
  readonly #onChange: () => void
  #signature = ''
  #watcher: FSWatcher | undefined
  #cancel: (() => void) | undefined
  #closed = false
  #readingMs = 0

  constructor(directory: string, clock: Clock, onChange: () => void) {
    this.#directory = directory
    this.#clock = clock
    this.#onChange = onChange
  }

  /** To be called right before the file is read. Returns whether the next change will be noticed. */
  arm(): boolean {
    const armed = this.#watch()
    this.#signature = signatureOf(this.#directory)
    return armed
  }

  /** To be told how long the file took to read. */
  wasRead(ms: number): void {
    this.#readingMs = ms
  }

  close(): void {
    this.#closed = true
    this.#cancel?.()
    this.#watcher?.close()
  }

  #watch(): boolean {
    if (!this.#watcher && !this.#cancel && !this.#closed)
      this.#watcher = watchFolder(this.#directory, () => this.#onNotice())
    return this.#watcher !== undefined || this.#cancel !== undefined
  }

  #onNotice(): void {
    this.#watcher?.close()
    this.#watcher = undefined
    this.#cancel ??= this.#clock.after(Math.max(SETTLE_MS, REST_PER_READING * this.#readingMs), () => {
      this.#cancel = undefined
      this.#watch()
      if (signatureOf(this.#directory) !== this.#signature) this.#onChange()
    })
  }
}

/** Changes whenever the file does. */
function signatureOf(directory: string): string {
  const stats = lstatSync(`${directory}/${SCHEDULES_FILE}`, { bigint: true, throwIfNoEntry: false })
  return stats ? `${stats.ino}:${stats.size}:${stats.mtimeNs}:${stats.ctimeNs}` : ''
}
