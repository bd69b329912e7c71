import type { Clock } from '@tenantbox/core'
import { sleep } from '../common/clock.js'

/**
 * What one tenant's texts may take of the process's time in the long run: in the rest of it everybody else has their turn.
 */
const LARGEST_SHARE = 0.01
/** How much a tenant may take at once, in milliseconds, before it has to wait: answers of an ordinary kind never do. */
const ALLOWANCE_MS = 100

/**
 * Has each tenant wait in proportion to the time it has taken from all others, beyond an allowance. The generic cell rate
 * algorithm (ITU-T I.371), with time as its cells.
 */
export class Pace {
  readonly #clock: Clock
  /** When each tenant's share will have made up for what it took. */
  readonly #evenAt = new Map<string, number>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Does `work`, which waits for nothing, once it is the tenant's turn. @throws what `work` throws; the signal's reason */
  async run<T>(tenant: string, signal: AbortSignal, work: () => T): Promise<T> {
    for (let wait = this.#waitOf(tenant); wait > 0; wait = this.#waitOf(tenant))
      await sleep(this.#clock, wait, signal)
    const begun = this.#clock.monotonic()
    try {
      return work()
    } finally {
      this.charge(tenant, this.#clock.monotonic() - begun)
    }
  }

  /** Counts `ms` as taken by the tenant. */
  charge(tenant: string, ms: number): void {
    const now = this.#clock.monotonic()
    const evenAt = (this.#evenAt.get(tenant) ?? now) + ms / LARGEST_SHARE
    this.#evenAt.set(tenant, evenAt)
    const forget = () => {
      if (this.#evenAt.get(tenant) === evenAt) this.#evenAt.delete(tenant)
    }
    this.#clock.after(evenAt - now, forget, { background: true })
  }

  #waitOf(tenant: string): number {
    const now = this.#clock.monotonic()
    return (this.#evenAt.get(tenant) ?? now) - ALLOWANCE_MS / LARGEST_SHARE - now
  }
}
