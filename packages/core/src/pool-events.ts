import type { Clock } from './clock.js'
import { GuardedEmitter } from './guarded-emitter.js'
import type { PoolEvents } from './lifecycle.js'
import { toMessage } from './text.js'

type Listener<K extends keyof PoolEvents> = (event: PoolEvents[K]) => void

/** The pool's events. A listener that fails becomes a `warning`. */
export class PoolEmitter {
  readonly #emitter = new GuardedEmitter<PoolEvents>((event, cause) => this.#listenerFailed(event, cause))
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
  }

  on<K extends keyof PoolEvents>(
    event: K,
    listener: Listener<K>,
    options?: { signal?: AbortSignal | undefined; once?: boolean | undefined },
  ): () => void {
    return this.#emitter.on(event, listener, options)
  }

  emit<K extends keyof PoolEvents>(event: K, payload: PoolEvents[K]): void {
    this.#emitter.emit(event, payload)
  }

  /** Never unheard: without a listener it becomes `process.emitWarning`, unless it is on stderr already. */
  warn(
    code: string,
    message: string,
    about: { tenant?: string | undefined; cause?: unknown; printed?: boolean | undefined } = {},
  ): void {
    const warning: PoolEvents['warning'] = { code, message, at: this.#clock.now() }
    if (about.tenant !== undefined) warning.tenant = about.tenant
    if (about.cause !== undefined) warning.cause = about.cause
    if (!this.#emitter.emit('warning', warning) && !about.printed)
      process.emitWarning(message, { type: 'TenantBoxWarning', code })
  }

  #listenerFailed(event: string, cause: unknown): void {
    const message = `A '${event}' listener failed: ${toMessage(cause)}`
    if (event === 'warning')
      process.emitWarning(message, { type: 'TenantBoxWarning', code: 'LISTENER_FAILED' })
    else this.warn('LISTENER_FAILED', message, { cause })
  }
}
