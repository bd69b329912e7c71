import type { Clock } from '@tenantbox/core'
import { orAbort } from '../common/clock.js'

/**
 * What one tenant's texts may take of the process's time: in the rest of it everybody else has their turn. So one that
 * takes the longest that a text may, 250 ms, is followed by none for 25 s, and one of an ordinary kind for a moment.
 */
const LARGEST_SHARE = 0.01

/** Has each tenant rest in proportion to the time it has taken from all others. */
export class Pace {
  readonly #clock: Clock
  readonly #resting = new Map<string, Promise<void>>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Does `work`, which waits for nothing, once the tenant has rested. @throws what `work` throws; the signal's reason */
  async run<T>(tenant: string, signal: AbortSignal, work: () => T): Promise<T> {
    for (let rest = this.#resting.get(tenant); rest; rest = this.#resting.get(tenant))
      await orAbort(rest, signal)
    const begun = this.#clock.monotonic()
    try {
      return work()
    } finally {
      const tookMs = this.#clock.monotonic() - begun
      this.rest(tenant, tookMs / LARGEST_SHARE - tookMs)
    }
  }

  /** Has the tenant rest for so long from now. */
  rest(tenant: string, ms: number): void {
    const rest = new Promise<void>((resolve) => {
      this.#clock.after(ms, resolve, { background: true })
    }).then(() => {
      if (this.#resting.get(tenant) === rest) this.#resting.delete(tenant)
    })
    this.#resting.set(tenant, rest)
  }
}
