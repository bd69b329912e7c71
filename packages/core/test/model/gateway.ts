import { slugOf } from '../../src/identity.js'
import { type TenantBox, TenantPool } from '../../src/index.js'
import type { MemoryDriver } from '../../src/testing/index.js'
import { POOL_EVENTS } from '../pool-events.js'
import { LEASE_TIMEOUT, QUEUE_TIMEOUT, STOP_AFTER, WAKE_TIMEOUT } from './conditions.js'
import type { HostProcess } from './host.js'
import type { World } from './world.js'

/** One process with a pool. */
export class Gateway {
  readonly pool: TenantPool
  readonly process: HostProcess
  readonly lock: 'fail' | 'wait'
  /** Whether its pool was ever open. */
  opened = false
  closing = false
  closed = false
  readonly #world: World
  readonly #driver: MemoryDriver
  #asked = 0

  constructor(world: World, process: HostProcess, lock: 'fail' | 'wait') {
    this.#world = world
    this.process = process
    this.lock = lock
    this.#driver = world.engine.driver()
    const { conditions } = world
    const { pauseAfter, removeAfter, maxRunning, maxQueued, minUptime, callbacks } = conditions
    this.pool = new TenantPool({
      name: 'model',
      driver: this.#driver,
      dataDir: process.dataDir,
      clock: process.clock,
      lock,
      box: world.spec,
      idle: {
        pauseAfter,
        stopAfter: STOP_AFTER,
        removeAfter,
        ...(callbacks === 'none' ? {} : { veto: this.#veto }),
      },
      capacity: { maxRunning, maxQueued, minUptime, queueTimeout: QUEUE_TIMEOUT, maxStarting: 2 },
      timeouts: {
        wake: WAKE_TIMEOUT,
        connect: 2_000,
        firstByte: 20_000,
        silence: 20_000,
        lease: LEASE_TIMEOUT,
      },
      ...(callbacks === 'none' ? {} : { perTenant: this.#perTenant }),
      onDrift: conditions.onDrift,
      onClose: conditions.onClose,
    })
    this.#listen()
  }

  start(): void {
    const { callers } = this.#world
    callers.begin(this, 'start', undefined, async (signal) => {
      await this.pool.start({ signal })
    })
  }

  close(options: { boxes?: 'keep' | 'stop' | 'remove'; drain: number }): void {
    const { callers, watchers } = this.#world
    this.closing = true
    callers.begin(this, 'close', undefined, async () => {
      await this.pool.close(options)
      this.closed = true
      for (const watch of watchers.closed) watch(this)
    })
  }

  crash(): void {
    for (const watch of this.#world.watchers.crashing) watch(this)
    this.process.kill()
    this.#driver.crash()
  }

  /** One of its calls went well. */
  isOpen(): void {
    // What a box still answers a process that is gone opens nothing.
    if (this.opened || this.closing || this.process.killed) return
    this.opened = true
    for (const watch of this.#world.watchers.opened) watch(this)
  }

  #listen(): void {
    const { watchers, conditions } = this.#world
    // The app's own, before those that look: what it throws must not keep others from hearing.
    if (conditions.callbacks === 'throw')
      for (const event of POOL_EVENTS)
        this.pool.on(event, () => {
          throw new AppError()
        })
    const unlessKilled =
      <E>(watches: readonly ((event: E, gateway: Gateway) => void)[]) =>
      (event: E): void => {
        if (!this.process.killed) for (const watch of watches) watch(event, this)
      }
    this.pool.on('transition', unlessKilled(watchers.transition))
    this.pool.on('queue', unlessKilled(watchers.queue))
    this.pool.on('engine', unlessKilled(watchers.engine))
    this.pool.on('warning', unlessKilled(watchers.warning))
  }

  readonly #perTenant = async (tenant: string): Promise<Record<string, never>> => {
    await this.#world.point(`perTenant ${slugOf(tenant)}`)
    // Not always, or nobody would ever wake.
    if (this.#world.conditions.callbacks === 'throw' && this.#world.isTroubled && ++this.#asked % 3 === 0)
      throw new AppError()
    return {}
  }

  readonly #veto = async ({ tenant }: TenantBox): Promise<boolean> => {
    await this.#world.point(`veto ${slugOf(tenant)}`)
    if (this.#world.conditions.callbacks === 'throw') throw new AppError()
    return false
  }
}

/** What the app's own callbacks throw. */
export class AppError extends Error {
  constructor() {
    super('a mistake of the app')
  }
}
