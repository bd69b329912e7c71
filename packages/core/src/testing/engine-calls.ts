import { orAbort } from '../abort.js'
import type { DriverCallInfo, DriverOperation, Faults } from './faults.js'
import type { Reach } from './reach.js'

/** What every call to a `MemoryEngine` goes through: it is counted, meets its faults, and ends when the engine is lost. */
export class EngineCalls {
  readonly #counts = new Map<DriverOperation, number>()
  readonly #faults: Faults
  readonly #reach: Reach

  constructor(faults: Faults, reach: Reach) {
    this.#faults = faults
    this.#reach = reach
  }

  count(operation?: DriverOperation): number {
    if (operation) return this.#counts.get(operation) ?? 0
    return [...this.#counts.values()].reduce((sum, count) => sum + count, 0)
  }

  /** @param release What becomes of a result that nobody waits for any more. */
  async run<T>(
    call: DriverCallInfo,
    signal: AbortSignal | undefined,
    effect: () => T | Promise<T>,
    release?: (result: T) => void,
  ): Promise<T> {
    signal?.throwIfAborted()
    this.#counts.set(call.operation, this.count(call.operation) + 1)
    // Dialling goes to the box, past the engine.
    const lost = call.operation === 'dial' ? undefined : this.#reach.lost
    lost?.throwIfAborted()
    const unlessGivenUp = <V>(promise: Promise<V>): Promise<V> => orAbort(orAbort(promise, signal), lost)

    const before = this.#faults.pass(call, 'before')
    if (before) await unlessGivenUp(before)
    const done = this.#perform(call, lost, effect)
    try {
      const result = await unlessGivenUp(done)
      const after = this.#faults.pass(call, 'after')
      if (after) await unlessGivenUp(after)
      return result
    } catch (error) {
      // A result that comes late is let go; a failure that comes late is nobody's.
      if (release) done.then(release, () => undefined)
      throw error
    }
  }

  async #perform<T>(
    call: DriverCallInfo,
    lost: AbortSignal | undefined,
    effect: () => T | Promise<T>,
  ): Promise<T> {
    const during = this.#faults.pass(call, 'during')
    if (during) await during
    lost?.throwIfAborted()
    return effect()
  }
}
