import { spawnSync } from 'node:child_process'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach } from 'vitest'
import {
  type ErrorCode,
  isTenantBoxError,
  type PoolEvents,
  type PoolOptions,
  TenantPool,
} from '../../src/index.js'
import { MemoryEngine, type MemoryOptions } from '../../src/testing/index.js'
import { POOL_EVENTS } from '../pool-events.js'

const cleanups: (() => Promise<unknown> | unknown)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

export interface Setup {
  readonly engine: MemoryEngine
  readonly dataDir: string
  readonly pool: TenantPool
  /** Every event there was, in order. */
  readonly events: { [K in keyof PoolEvents]: { event: K; payload: PoolEvents[K] } }[keyof PoolEvents][]
  /** Another pool on the same engine and folder, as after a restart. */
  again(options?: Partial<PoolOptions>): TenantPool
}

export async function setup(options: Partial<PoolOptions> = {}, memory: MemoryOptions = {}): Promise<Setup> {
  const dataDir = await mkdtemp(join(tmpdir(), 'tbx-'))
  cleanups.push(() => spawnSync('rm', ['-rf', dataDir]))
  const engine = new MemoryEngine({ ...memory, ...(options.clock ? { clock: options.clock } : {}) })
  const events: Setup['events'] = []
  const again = (more: Partial<PoolOptions> = {}): TenantPool => {
    const pool = new TenantPool({
      name: 'test',
      driver: engine.driver(),
      dataDir,
      box: { image: 'agent:1' },
      ...options,
      ...more,
    })
    for (const event of POOL_EVENTS)
      pool.on(event, (payload) => events.push({ event, payload } as Setup['events'][number]))
    cleanups.push(() => pool.close({ drain: 0 }))
    return pool
  }
  return { engine, dataDir, pool: again(), events, again }
}

export function of<K extends keyof PoolEvents>(events: Setup['events'], kind: K): PoolEvents[K][] {
  return events.flatMap(({ event, payload }) => (event === kind ? [payload as PoolEvents[K]] : []))
}

/** `from>to(reason)` of each transition, which is what most tests are about. */
export function path(events: Setup['events'], tenant: string): string {
  const own = of(events, 'transition').filter((one) => one.tenant === tenant)
  return own.map(({ to, reason }, index) => `${index === 0 ? own[0]?.from : ''}>${to}(${reason})`).join('')
}

export async function failure<C extends ErrorCode>(promise: Promise<unknown>, code: C) {
  const error = await promise.then(
    () => new Error(`succeeded instead of ${code}`),
    (reason: unknown) => reason,
  )
  if (isTenantBoxError(error, code)) return error
  throw error
}

/** Resolves with the next event that `accept` says true to. */
export function next<K extends keyof PoolEvents>(
  pool: TenantPool,
  kind: K,
  accept: (event: PoolEvents[K]) => boolean = () => true,
): Promise<PoolEvents[K]> {
  return new Promise((resolve) => {
    const off = pool.on(kind, (event) => {
      if (!accept(event)) return
      off()
      resolve(event)
    })
  })
}
