import { setMaxListeners } from 'node:events'
import { TenantBoxError } from '../errors.js'

/** Whether a `MemoryEngine` can be reached. */
export class Reach {
  #lost = lostSignal()

  /** Aborts when the engine goes down, with the error that everything under way then ends with. */
  get lost(): AbortSignal {
    return this.#lost.signal
  }

  down(): void {
    this.#lost.abort(
      new TenantBoxError(
        'ENGINE_UNAVAILABLE',
        'The in-memory engine is down. Bring it back with engine.up().',
        { endpoint: 'memory', hint: 'engine.up()' },
      ),
    )
  }

  up(): void {
    if (this.lost.aborted) this.#lost = lostSignal()
  }
}

function lostSignal(): AbortController {
  const controller = new AbortController()
  // Every call under way listens.
  setMaxListeners(0, controller.signal)
  return controller
}
