import { EventEmitter } from 'eventemitter3'
import { onAbort } from './abort.js'
import type { Clock } from './clock.js'
import type { PoolEvents } from './lifecycle.js'
import { toMessage } from './text.js'

type Listener<K extends keyof PoolEvents> = (event: PoolEvents[K]) => void

/** The pool's events. A listener that throws, or returns a promise that rejects, harms nobody: it becomes a `warning`. */
export class PoolEmitter {
  readonly #emitter = new EventEmitter()
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
  }

  on<K extends keyof PoolEvents>(
    event: K,
    listener: Listener<K>,
    options: { signal?: AbortSignal | undefined; once?: boolean | undefined } = {},
  ): () => void {
    const { signal, once } = options
    if (signal?.aborted) return () => undefined
    const off = (): void => {
      this.#emitter.off(event, guarded)
      undo?.()
    }
    const guarded = (payload: PoolEvents[K]): void => {
      if (once) off()
      this.#call(event, listener, payload)
    }
    this.#emitter.on(event, guarded)
    const undo = signal && onAbort(signal, off)
    return off
  }

  emit<K extends keyof PoolEvents>(event: K, payload: PoolEvents[K]): void {
    this.#emitter.emit(event, payload)
  }

  /** Never unheard: without a listener it becomes `process.emitWarning`. */
  warn(code: string, message: string, about: { tenant?: string | undefined; cause?: unknown } = {}): void {
    const warning: PoolEvents['warning'] = { code, message, at: this.#clock.now() }
    if (about.tenant !== undefined) warning.tenant = about.tenant
    if (about.cause !== undefined) warning.cause = about.cause
    if (!this.#emitter.emit('warning', warning))
      process.emitWarning(message, { type: 'TenantBoxWarning', code })
  }

  #call<K extends keyof PoolEvents>(event: K, listener: Listener<K>, payload: PoolEvents[K]): void {
    const failed = (cause: unknown): void => {
      const message = `A '${event}' listener failed: ${toMessage(cause)}`
      if (event === 'warning')
        process.emitWarning(message, { type: 'TenantBoxWarning', code: 'LISTENER_FAILED' })
      else this.warn('LISTENER_FAILED', message, { cause })
    }
    try {
      // A listener may well be an async function, whatever its type says.
      const result: unknown = listener(payload)
      if (result instanceof Promise) result.catch(failed)
    } catch (cause) {
      failed(cause)
    }
  }
}
