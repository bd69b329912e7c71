import pLimit from 'p-limit'
import { onAbort, orAbort } from './abort.js'
import type { Clock } from './clock.js'
import { TenantBoxError } from './errors.js'
import { isLive, type PoolEvents } from './lifecycle.js'
import type { ResolvedCapacity } from './options.js'
import type { Tenant } from './tenant.js'

/** What admission needs of the pool. */
export interface AdmissionHost {
  readonly clock: Clock
  readonly capacity: ResolvedCapacity
  queued(event: PoolEvents['queue']): void
  /** Stops this box to make room. Never rejects. */
  evict(tenant: Tenant): Promise<Eviction>
}

/** What became of an eviction. `kept`: it turned out to be wanted after all, or the engine failed. */
export type Eviction = 'evicted' | 'vetoed' | 'kept'

/** How long a box that would not go is left alone: whoever vetoes has to be asked each time. */
const SPARED_MS = { vetoed: 2_000, kept: 250 }

/** One of the starts that may be under way at the same time, until it is ended; ending it again does nothing. */
export interface StartTurn extends Disposable {
  end(): void
}

interface Waiter {
  readonly tenant: Tenant
  admit(): void
}

/**
 * Which tenants may hold memory at the engine. A slot is taken before a wake and given back when neither a live box nor
 * a wake needs it. Waiters are served first come, first served; nobody overtakes the queue.
 */
export class Admission {
  readonly #host: AdmissionHost
  readonly #holders = new Set<Tenant>()
  readonly #queue: Waiter[] = []
  readonly #evicting = new Set<Tenant>()
  /** Those that would not go, and what ends their being left alone. */
  readonly #spared = new Map<Tenant, () => void>()
  readonly #starts
  #cancelRetry: (() => void) | undefined
  #closed = false

  constructor(host: AdmissionHost) {
    this.#host = host
    this.#starts = pLimit(host.capacity.maxStarting)
  }

  get waiting(): number {
    return this.#queue.length
  }

  /** Takes over changed limits. */
  update(): void {
    this.#starts.concurrency = this.#host.capacity.maxStarting
    this.makeRoom()
  }

  /**
   * Resolves when one more box may be made and started, until that is said to be over. Who stood in line first comes
   * first, from its making to its start: in a burst the first box runs long before the last is made.
   *
   * @throws the signal's reason
   */
  async turnToStart(signal: AbortSignal): Promise<StartTurn> {
    const turn = new Promise<StartTurn>((resolve) => {
      void this.#starts(() => {
        if (signal.aborted) return
        return new Promise<void>((end) => resolve({ end, [Symbol.dispose]: end }))
      })
    })
    return orAbort(turn, signal)
  }

  /** A box that lives already, found at start or after trouble: it holds a slot whether there is one or not. */
  occupy(tenant: Tenant): void {
    if (this.#holders.has(tenant)) return
    this.#holders.add(tenant)
    // Whoever waits for what somebody outside has started has nothing to wait for any more.
    this.#queue.find((waiter) => waiter.tenant === tenant)?.admit()
  }

  /** Gives the slot back if nothing needs it any more, and looks whether somebody can go on. Idempotent. */
  settle(tenant: Tenant): void {
    if (isLive(tenant.state)) this.occupy(tenant)
    // Nearly all of very many tenants sleep, and hold nothing: who is listed or updated with them all must not look further.
    else if (!tenant.flight && !tenant.inDoubt && !this.#holders.delete(tenant)) return
    this.makeRoom()
  }

  /**
   * Resolves once the tenant holds a slot.
   *
   * @throws TenantBoxError `CAPACITY` when the queue is full, `QUEUE_TIMEOUT` after `capacity.queueTimeout`
   */
  async admit(tenant: Tenant, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (this.#holders.has(tenant)) return
    if (this.#queue.length === 0 && this.#holders.size < this.#host.capacity.maxRunning) {
      this.#holders.add(tenant)
      return
    }
    const { maxQueued, queueTimeout, maxRunning } = this.#host.capacity
    if (this.#queue.length >= maxQueued)
      throw new TenantBoxError(
        'CAPACITY',
        `All ${maxRunning} boxes are in use and ${this.#queue.length} wakes wait already; tenant ${JSON.stringify(tenant.id)} was turned away. Try again later, or raise capacity.maxRunning or maxQueued.`,
        { queued: this.#queue.length },
        { tenant: tenant.id },
      )
    await this.#wait(tenant, signal, queueTimeout)
  }

  #wait(tenant: Tenant, signal: AbortSignal, queueTimeout: number): Promise<void> {
    const { clock } = this.#host
    const since = clock.monotonic()
    const waitedMs = (): number => clock.monotonic() - since
    return new Promise((resolve, reject) => {
      const leave = (state: 'left' | 'timeout'): void => {
        const place = this.#queue.indexOf(waiter)
        if (place >= 0) this.#queue.splice(place, 1)
        cancelTimer()
        undo()
        this.#tell(tenant, state, waitedMs())
      }
      const waiter: Waiter = {
        tenant,
        admit: () => {
          leave('left')
          resolve()
        },
      }
      const gaveUp = (): void => {
        leave('left')
        reject(signal.reason)
      }
      const cancelTimer = clock.after(queueTimeout, () => {
        leave('timeout')
        reject(
          new TenantBoxError(
            'QUEUE_TIMEOUT',
            `Tenant ${JSON.stringify(tenant.id)} waited ${queueTimeout} ms for room and got none. Try again later, or raise capacity.maxRunning or queueTimeout.`,
            { waitedMs: waitedMs(), queued: this.#queue.length },
            { tenant: tenant.id },
          ),
        )
      })
      const undo = onAbort(signal, gaveUp)
      this.#queue.push(waiter)
      this.#tell(tenant, 'entered', 0)
      this.makeRoom()
    })
  }

  /** Admits whom there is room for, and evicts for the others. Called whenever something may have changed. */
  makeRoom(): void {
    if (this.#closed) return
    const { capacity, clock } = this.#host
    while (this.#queue.length > 0 && this.#holders.size < capacity.maxRunning) {
      const next = this.#queue[0] as Waiter
      this.#holders.add(next.tenant)
      next.admit()
    }
    this.#cancelRetry?.()
    this.#cancelRetry = undefined
    const excess = Number.isFinite(capacity.maxRunning) ? this.#holders.size - capacity.maxRunning : 0
    const needed = excess + this.#queue.length - this.#evicting.size
    if (needed <= 0) return
    const except = new Set([...this.#evicting, ...this.#spared.keys()])
    const { victims, retryIn } = chooseVictims(this.#holders, except, needed, capacity.minUptime)
    for (const victim of victims) this.#evict(victim)
    if (victims.length < needed && retryIn !== undefined)
      this.#cancelRetry = clock.after(retryIn, () => this.makeRoom(), { background: true })
  }

  /** Nobody is evicted any more. */
  close(): void {
    this.#closed = true
    this.#cancelRetry?.()
    for (const cancel of this.#spared.values()) cancel()
  }

  #evict(victim: Tenant): void {
    this.#evicting.add(victim)
    void this.#host.evict(victim).then((outcome) => {
      this.#evicting.delete(victim)
      if (outcome !== 'evicted') this.#spare(victim, SPARED_MS[outcome])
      this.makeRoom()
    })
  }

  /** One that would not go is left alone for a while; others are asked meanwhile. */
  #spare(tenant: Tenant, ms: number): void {
    if (this.#closed) return
    const over = (): void => {
      this.#spared.delete(tenant)
      this.makeRoom()
    }
    this.#spared.set(tenant, this.#host.clock.after(ms, over, { background: true }))
  }

  #tell(tenant: Tenant, state: PoolEvents['queue']['state'], ms: number): void {
    this.#host.queued({
      tenant: tenant.id,
      at: this.#host.clock.now(),
      state,
      waiting: this.#queue.length,
      ms,
    })
  }
}

/** What the choice of a victim looks at. */
export interface Occupant {
  readonly state: Tenant['state']
  readonly wanted: boolean
  readonly lastActive: number
  readonly flight: unknown
  readonly gate: unknown
  /** Milliseconds since this life began. */
  readonly uptime: number
}

/**
 * Up to `count` boxes to put to stop, the least recently active first: never one that is wanted, on its way somewhere, or
 * younger than `minUptime`. `retryIn`: when the first of those too young will be old enough.
 */
export function chooseVictims<T extends Occupant>(
  holders: Iterable<T>,
  except: ReadonlySet<T>,
  count: number,
  minUptime: number,
): { victims: T[]; retryIn: number | undefined } {
  const candidates: T[] = []
  let retryIn: number | undefined
  for (const holder of holders) {
    if (except.has(holder) || holder.wanted || holder.flight || holder.gate) continue
    if (holder.state !== 'running' && holder.state !== 'paused') continue
    const missing = minUptime - holder.uptime
    if (missing <= 0) candidates.push(holder)
    else if (retryIn === undefined || missing < retryIn) retryIn = missing
  }
  candidates.sort((a, b) => a.lastActive - b.lastActive)
  return { victims: candidates.slice(0, count), retryIn }
}
