import { readdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TenantPool } from '@tenantbox/core'
import type Docker from 'dockerode'
import { course, LEVEL, type Memory, MiB, memoryInUse, toMiB } from './growth.js'

/** What may be more at the end than after the warm-up. */
const GROWTH = { ...LEVEL, descriptors: 30, handles: 60 }

interface Sample extends Memory {
  /** Open files and sockets. */
  readonly descriptors: number
  /** What could keep the process alive: sockets, timers, requests. */
  readonly handles: number
}

/** How the gateway does: what it holds, printed as it goes, and whether that stays level. */
export class Vitals {
  readonly #pool: TenantPool
  readonly #engine: Docker
  readonly #name: string
  readonly #samples: Sample[] = []
  #duplicates = 0

  constructor(pool: TenantPool, engine: Docker, name: string) {
    this.#pool = pool
    this.#engine = engine
    this.#name = name
  }

  async run(everyMs: number, ending: AbortSignal, totals: () => Record<string, number>): Promise<void> {
    const began = performance.now()
    const end = new Promise<void>((resolve) =>
      ending.addEventListener('abort', () => resolve(), { once: true }),
    )
    while (!ending.aborted) {
      const pause = sleep(everyMs, undefined, { ref: false })
      await Promise.race([pause, end])
      const sample = take()
      this.#samples.push(sample)
      await this.#countDuplicates()
      const { known, running, paused, leased, queued } = this.#pool.stats()
      const row = {
        s: Math.round((performance.now() - began) / 1000),
        heap: toMiB(sample.heap),
        rss: toMiB(sample.rss),
        fds: sample.descriptors,
        handles: sample.handles,
        ...{ known, running, paused, leased, queued },
        ...totals(),
      }
      console.log(
        Object.entries(row)
          .map(([name, value]) => `${name} ${value}`)
          .join('  '),
      )
    }
  }

  /** The pool's containers at the engine, in any state. */
  async containers(): Promise<{ name: string; tenant: string; live: boolean }[]> {
    const filters = { label: [`dev.tenantbox.pool=${this.#name}`] }
    const found = await this.#engine.listContainers({ all: true, filters })
    return found.map(({ Names, Labels, State }) => ({
      name: Names[0] ?? '',
      tenant: Labels['dev.tenantbox.tenant'] ?? '',
      live: State === 'running' || State === 'paused',
    }))
  }

  /** Prints what has grown, from after the warm-up to the end; whether all of it is level. */
  verdict(): boolean {
    const grown = (what: keyof Sample): number => {
      const { first, last } = course(this.#samples.map((sample) => sample[what]))
      return last - first
    }
    const level = (Object.keys(GROWTH) as (keyof Sample)[]).map((what) => {
      const growth = grown(what)
      const shown =
        GROWTH[what] >= MiB
          ? `${toMiB(growth)} of at most ${toMiB(GROWTH[what])} MiB`
          : `${growth} of at most ${GROWTH[what]}`
      console.log(`${what}: grew by ${shown}${growth > GROWTH[what] ? ' TOO MUCH' : ''}`)
      return growth <= GROWTH[what]
    })
    console.log(`tenants seen with two live boxes: ${this.#duplicates}`)
    return level.every(Boolean) && this.#duplicates === 0
  }

  async #countDuplicates(): Promise<void> {
    const live = (await this.containers()).filter((container) => container.live)
    this.#duplicates += live.length - new Set(live.map(({ tenant }) => tenant)).size
  }
}

function take(): Sample {
  return {
    ...memoryInUse(),
    descriptors: readdirSync('/proc/self/fd').length,
    handles: process.getActiveResourcesInfo().length,
  }
}
