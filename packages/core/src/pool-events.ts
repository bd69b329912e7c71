import type { Clock } from './clock.js'
import type { DriverWarning } from './driver.js'
import { GuardedEmitter } from './guarded-emitter.js'
import type { PoolEvents } from './lifecycle.js'
import { toMessage } from './text.js'
import type { WarningCode } from './warnings.js'

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

  warn(
    code: WarningCode,
    message: string,
    about: { tenant?: string | undefined; cause?: unknown } = {},
  ): void {
    const warning: PoolEvents['warning'] = { code, message, at: this.#clock.now() }
    if (about.tenant !== undefined) warning.tenant = about.tenant
    if (about.cause !== undefined) warning.cause = about.cause
    if (!this.#emitter.emit('warning', warning)) emitWarning(code, message)
  }

  /** Warns of what the start has found; a driver has codes of its own. */
  report({ code, message, printed = false }: DriverWarning): void {
    const heard = this.#emitter.emit('warning', { code, message, at: this.#clock.now() })
    if (!heard && !printed) emitWarning(code, message)
  }

  #listenerFailed(event: string, cause: unknown): void {
    const message = `A '${event}' listener failed: ${toMessage(cause)}`
    if (event === 'warning') emitWarning('LISTENER_FAILED', message)
    else this.warn('LISTENER_FAILED', message, { cause })
  }
}

/** For who has no listener. */
function emitWarning(code: string, message: string): void {
  process.emitWarning(message, { type: 'TenantBoxWarning', code })
}
