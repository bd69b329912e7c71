import { setTimeout as sleep } from 'node:timers/promises'
import { type ErrorCode, isTenantBoxError, type TenantPool } from '@tenantbox/core'
import { pick, type Random } from './soak-random.js'

/** Longest pause of a caller between two calls. */
const PAUSE_MS = 60
const CALL_TIMEOUT = '45s'

/** What a caller may be told when boxes are killed under it. Anything else is a fault of the pool's. */
const EXPECTED: ReadonlySet<ErrorCode> = new Set([
  'STALE_BOX',
  'AGENT_FAILED',
  'START_FAILED',
  'CRASH_LOOP',
  'BUSY',
  'QUEUE_TIMEOUT',
  'TIMEOUT',
])

type Call = (tenant: string) => Promise<unknown>

/** Callers that do all that an app does, to tenants of whom a few are much busier than the others. */
export class Traffic {
  readonly #tenants: number
  readonly #random: Random
  readonly #calls: readonly (readonly [number, Call])[]
  readonly #counts = new Map<string, number>()
  readonly #unexpected: unknown[] = []
  #done = 0
  #failed = 0

  constructor(pool: TenantPool, tenants: number, random: Random) {
    this.#tenants = tenants
    this.#random = random
    const options = { timeout: CALL_TIMEOUT } as const
    this.#calls = [
      [50, (tenant) => pool.send(tenant, 'hello', options).text()],
      [15, async (tenant) => (await pool.fetch(tenant, '/healthz', options)).text()],
      [5, async (tenant) => (await pool.fetch(tenant, '/healthz', options)).status],
      [10, (tenant) => pool.use(tenant, async (box) => (await box.fetch('/healthz')).text(), options)],
      [2, (tenant) => pool.use(tenant, (box) => box.exec(['/bin/true']), options)],
      [3, (tenant) => pool.ensure(tenant, { timeout: 5 })],
      [8, async (tenant) => pool.touch(tenant)],
      [2, (tenant) => pool.pause(tenant, { timeout: '1s' })],
      [2, (tenant) => pool.stop(tenant, { leases: 'abort' })],
      [1, (tenant) => pool.remove(tenant, { leases: 'abort', data: 'delete' })],
      [2, async (tenant) => this.#leave(pool.send(tenant, 'never mind', options))],
    ]
  }

  get totals(): { done: number; failed: number } {
    return { done: this.#done, failed: this.#failed }
  }

  async run(ending: AbortSignal): Promise<void> {
    while (!ending.aborted) {
      await this.#call(pick(this.#random, this.#calls))
      await sleep(this.#random() * PAUSE_MS)
    }
  }

  count(what: string): void {
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + 1)
  }

  /** Prints how calls failed; whether all of that was to be expected. */
  report(): boolean {
    console.log(`calls: ${this.#done} done, ${this.#failed} failed`, Object.fromEntries(this.#counts))
    for (const error of this.#unexpected.slice(0, 5)) console.log('UNEXPECTED', error)
    return this.#unexpected.length === 0
  }

  async #call(call: Call): Promise<void> {
    try {
      await call(`tenant-${Math.floor(this.#random() ** 3 * this.#tenants)}`)
      this.#done++
    } catch (error) {
      this.#failed++
      this.count(isTenantBoxError(error) ? error.code : String(error))
      if (!isTenantBoxError(error) || !EXPECTED.has(error.code)) this.#unexpected.push(error)
    }
  }

  /** Goes away after the first event of an answer. */
  async #leave(answer: AsyncIterable<unknown>): Promise<void> {
    for await (const _ of answer) return
  }
}
