import type { PoolEvents, TenantPool } from '@tenantbox/core'
import type { Wake } from './table.js'

const WOKEN = { absent: 'created', stopped: 'from stopped', paused: 'from paused' } as const

/** Sends messages, prints what is said, and notes how long the boxes took. */
export class Conversation {
  readonly wakes: Wake[] = []
  readonly #pool: TenantPool
  readonly #print: (line: string) => void
  readonly #signal: AbortSignal

  constructor(pool: TenantPool, print: (line: string) => void, signal: AbortSignal) {
    this.#pool = pool
    this.#print = print
    this.#signal = signal
  }

  async say(tenant: string, text: string): Promise<string> {
    this.#print(`${tenant} > ${text}`)
    let woken: Wake['woken'] = 'hot'
    const unsubscribe = this.#pool.on('ready', (event: PoolEvents['ready']) => {
      if (event.tenant === tenant) woken = WOKEN[event.from]
    })
    const start = performance.now()
    // `send` wakes the box by itself: this only tells the two times apart.
    await this.#pool.ensure(tenant, { signal: this.#signal })
    const ready = performance.now() - start
    unsubscribe()
    let answer = ''
    let firstWords = 0
    for await (const event of this.#pool.send(tenant, text, { signal: this.#signal })) {
      if (event.type !== 'text') continue
      if (answer === '') firstWords = performance.now() - start
      answer += event.text
    }
    this.wakes.push({ tenant, woken, ready, firstWords })
    this.#print(`${tenant} < ${answer.trim()}`)
    return answer
  }
}
