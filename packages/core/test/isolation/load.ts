import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import type { TenantPool } from '../../src/index.js'

const PAUSE_MS = 5
/** How long the victim is looked at where an attack is over sooner. */
const LEAST_MS = 1_000

/**
 * Asks a tenant's agent, one request after another, while an attack goes on; every request must be answered. Prints the
 * 99th percentile beside what it is without the attack; it is no assertion, as other tests run at the same time.
 */
export class Bystander {
  readonly #pool: TenantPool
  readonly #tenant: string
  #calm: number[] | undefined

  constructor(pool: TenantPool, tenant: string) {
    this.#pool = pool
    this.#tenant = tenant
  }

  async during<T>(attack: string, work: () => Promise<T>): Promise<T> {
    this.#calm ??= (await this.#ask(() => sleep(LEAST_MS))).times
    const { times, result } = await this.#ask(async () => (await Promise.all([work(), sleep(LEAST_MS)]))[0])
    console.log(
      `${attack}: another tenant's p99 ${p99(times)} of ${times.length} requests, all answered; ${p99(this.#calm)} without`,
    )
    return result
  }

  async #ask<T>(work: () => Promise<T>): Promise<{ times: number[]; result: T }> {
    const times: number[] = []
    let over = false
    const working = work().finally(() => {
      over = true
    })
    working.catch(() => undefined)
    while (!over) {
      const began = performance.now()
      const answer = await this.#pool.fetch(this.#tenant, '/ping', { timeout: '10s' })
      expect(await answer.text()).toBe('{}')
      times.push(performance.now() - began)
      await sleep(PAUSE_MS)
    }
    return { times, result: await working }
  }
}

function p99(times: readonly number[]): string {
  const sorted = [...times].sort((a, b) => a - b)
  return `${(sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN).toFixed(1)} ms`
}
