import { setTimeout as sleep } from 'node:timers/promises'
import type Docker from 'dockerode'
import { pick, type Random } from './soak-random.js'

const LONGEST_STALL_MS = 1_500

/** Does to boxes and to the gateway what nobody should. */
export class Faults {
  readonly #engine: Docker
  readonly #pool: string
  readonly #random: Random
  readonly #counts = { kill: 0, pause: 0, unpause: 0, remove: 0, stall: 0 }
  /** The boxes that others than the pool have paused or removed meanwhile. */
  #late = 0

  constructor(engine: Docker, pool: string, random: Random) {
    this.#engine = engine
    this.#pool = pool
    this.#random = random
  }

  get total(): number {
    return Object.values(this.#counts).reduce((sum, count) => sum + count, 0)
  }

  async run(everyMs: number, ending: AbortSignal): Promise<void> {
    while (!ending.aborted) {
      const fault = pick(this.#random, [
        [5, 'kill'],
        [3, 'pause'],
        [1, 'unpause'],
        [1, 'remove'],
        [2, 'stall'],
      ] as const)
      this.#counts[fault]++
      if (fault === 'stall') this.#stall()
      else await this.#strike(fault)
      await sleep(everyMs * 2 * this.#random())
    }
  }

  report(): boolean {
    console.log('faults:', this.#counts, `of which too late: ${this.#late}`)
    return true
  }

  /** The gateway's only thread does nothing for a while, as in a long garbage collection or on a machine that swaps. */
  #stall(): void {
    const ms = this.#random() * LONGEST_STALL_MS
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
  }

  async #strike(fault: 'kill' | 'pause' | 'unpause' | 'remove'): Promise<void> {
    const filters = {
      label: [`dev.tenantbox.pool=${this.#pool}`],
      status: [fault === 'unpause' ? 'paused' : 'running'],
    }
    const found = await this.#engine.listContainers({ filters })
    const victim = found[Math.floor(this.#random() * found.length)]
    if (!victim) return
    const container = this.#engine.getContainer(victim.Id)
    try {
      if (fault === 'remove') await container.remove({ force: true })
      else await container[fault]()
    } catch {
      // The pool was quicker to put it down.
      this.#late++
    }
  }
}
