import { EventEmitter } from 'eventemitter3'
import { onAbort } from './abort.js'

/** Typed events whose listeners harm nobody: what one throws, or its promise rejects with, is told to `onFailure`. */
export class GuardedEmitter<Events extends object> {
  readonly #emitter = new EventEmitter()
  readonly #onFailure: (event: keyof Events & string, cause: unknown) => void

  constructor(onFailure: (event: keyof Events & string, cause: unknown) => void) {
    this.#onFailure = onFailure
  }

  /** @returns what ends the listening */
  on<K extends keyof Events & string>(
    event: K,
    listener: (event: Events[K]) => void,
    options: { signal?: AbortSignal | undefined; once?: boolean | undefined } = {},
  ): () => void {
    const { signal, once } = options
    if (signal?.aborted) return () => undefined
    const off = (): void => {
      this.#emitter.off(event, guarded)
      undo?.()
    }
    const guarded = (payload: Events[K]): void => {
      if (once) off()
      this.#call(event, listener, payload)
    }
    this.#emitter.on(event, guarded)
    const undo = signal && onAbort(signal, off)
    return off
  }

  /** Whether anybody has heard it. */
  emit<K extends keyof Events & string>(event: K, payload: Events[K]): boolean {
    return this.#emitter.emit(event, payload)
  }

  #call<K extends keyof Events & string>(
    event: K,
    listener: (event: Events[K]) => void,
    payload: Events[K],
  ): void {
    const failed = (cause: unknown): void => this.#onFailure(event, cause)
    try {
      // A listener may well be an async function, whatever its type says.
      const result: unknown = listener(payload)
      if (result instanceof Promise) result.catch(failed)
    } catch (cause) {
      failed(cause)
    }
  }
}
