import { orAbort } from './abort.js'

/**
 * One piece of work that many callers wait for. A caller that gives up leaves the others undisturbed; when the last
 * one has given up, the work's own signal is aborted.
 */
export class SharedFlight<T> {
  readonly #controller = new AbortController()
  readonly #result: Promise<T>
  #waiting = 0

  constructor(work: (signal: AbortSignal) => Promise<T>) {
    this.#result = work(this.#controller.signal)
    // Each caller gets the failure through `join`; with nobody left to tell, it is nobody's.
    this.#result.catch(() => undefined)
  }

  /** True once nobody waits any more: a new caller must begin a flight of its own. */
  get abandoned(): boolean {
    return this.#controller.signal.aborted
  }

  /** Settles with the work, whatever the callers do. */
  get settled(): Promise<unknown> {
    return this.#result.catch(() => undefined)
  }

  abort(reason: unknown): void {
    this.#controller.abort(reason)
  }

  /** Waits for the result; rejects with the signal's reason when this caller gives up. */
  async join(signal?: AbortSignal): Promise<T> {
    this.#waiting++
    try {
      return await orAbort(this.#result, signal)
    } finally {
      if (--this.#waiting === 0) this.#controller.abort(signal?.reason)
    }
  }
}
