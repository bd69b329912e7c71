import type { Duplex } from 'node:stream'
import { orAbort } from './abort.js'
import { Box, type BoxHost } from './box.js'
import type { Clock } from './clock.js'
import type { Driver } from './driver.js'
import { isTenantBoxError } from './errors.js'
import type { LeaseOutcome } from './lease.js'
import type { PoolEvents } from './lifecycle.js'
import type { Reaper } from './reaper.js'
import type { Sleeper } from './sleep.js'
import type { BoxLease, Life, Tenant } from './tenant.js'
import type { TenantBox } from './tenant-box.js'
import { type CallOptions, deadline, remaining } from './wait.js'
import type { Waker } from './wake.js'

/** An agent that misses so many deadlines in a row hangs: its box counts as unhealthy and is stopped. */
export const MISSED_DEADLINES = 3

/** What leasing needs of the pool. */
export interface LeasingHost {
  readonly clock: Clock
  readonly driver: Pick<Driver, 'spawn' | 'stats' | 'dial'>
  readonly waker: Pick<Waker, 'isAwake' | 'wake' | 'resume'>
  readonly reaper: Pick<Reaper, 'track'>
  readonly sleeper: Pick<Sleeper, 'stopHung'>
  workspaceOf(slug: string): string
  noteActivity(tenant: Tenant): void
  settle(tenant: Tenant): void
  released(event: PoolEvents['lease']): void
}

/** Hands out leases and handles. Demand counts from the first moment, so that nobody puts the box to sleep meanwhile. */
export class Leasing implements BoxHost {
  readonly clock: Clock
  readonly driver: Pick<Driver, 'spawn' | 'stats'>
  readonly #host: LeasingHost
  /** Why there are no new leases any more. */
  #closed: Error | undefined

  constructor(host: LeasingHost) {
    this.#host = host
    this.clock = host.clock
    this.driver = host.driver
  }

  /** From now on only those who hold a lease already go on. */
  close(reason: Error): void {
    this.#closed = reason
  }

  /** Awake and leased. */
  async lease(tenant: Tenant, operation: string, options: CallOptions): Promise<BoxLease> {
    const left = remaining(this.clock, options)
    const lease = await this.#whenAwake(tenant, operation, options, (life) => tenant.lease(life))
    lease.follow(left(), operation)
    return lease
  }

  /** Awake; the handle of the life that is. */
  ensure(tenant: Tenant, options: CallOptions): Promise<TenantBox> {
    return this.#whenAwake(tenant, 'ensure', options, (life) => this.handleOf(life))
  }

  /** The handle, when the box is awake without a doubt: no engine call, nothing to wait for. */
  awake(tenant: Tenant): TenantBox | undefined {
    const { life, gate } = tenant
    return life && !gate && this.#host.waker.isAwake(tenant) ? this.handleOf(life) : undefined
  }

  handleOf(life: Life): TenantBox {
    life.handle ??= new Box(life, undefined, this)
    return life.handle
  }

  leasedHandle(lease: BoxLease): TenantBox {
    return new Box(lease.life, lease, this)
  }

  /** A handle whose use is no activity. */
  observer(life: Life): TenantBox {
    return new Box(life, 'observer', this)
  }

  async enter(
    life: Life,
    within: BoxLease | 'observer' | undefined,
    operation: string,
    options: CallOptions,
  ): Promise<BoxLease> {
    options.signal?.throwIfAborted()
    const { tenant } = life
    const mayPass = within === 'observer' || within?.held === true
    const left = remaining(this.clock, options)
    if (!mayPass) {
      if (tenant.gate) await this.#gateOpened(life, operation, options)
      if (this.#closed) throw this.#closed
    }
    const lease = tenant.lease(life, within === 'observer' ? 'look' : 'use')
    this.#host.reaper.track(tenant)
    if (lease.kind === 'use') this.#host.noteActivity(tenant)
    lease.follow(left(), operation)
    try {
      if (tenant.state !== 'running') await orAbort(this.#host.waker.resume(tenant, life), lease.signal)
      return lease
    } catch (error) {
      const reason = lease.explain(error)
      lease.release()
      throw reason
    }
  }

  leaseEnded(lease: BoxLease, outcome: LeaseOutcome, ms: number): void {
    const { tenant, generation } = lease.life
    if (lease.kind === 'use') {
      this.#host.released({ tenant: tenant.id, at: this.clock.now(), generation, ms, outcome })
      this.#host.noteActivity(tenant)
    }
    if (tenant.leases > 0) return
    tenant.quieted()
    this.#host.settle(tenant)
  }

  workspaceOf(slug: string): string {
    return this.#host.workspaceOf(slug)
  }

  dial(life: Life, signal: AbortSignal): Promise<Duplex> {
    return this.#host.driver.dial(life.box, { signal })
  }

  async bounded<T>(
    operation: string,
    tenant: string,
    options: CallOptions,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const bound = deadline(this.clock, operation, { ...options, tenant })
    try {
      return await orAbort(work(bound.signal), bound.signal)
    } finally {
      bound.done()
    }
  }

  answered(life: Life): void {
    life.missed = 0
  }

  /**
   * An agent that could not be reached: before the next use the engine is asked, and the agent probed. One that did not
   * answer in time is stopped after the last of `MISSED_DEADLINES`, whoever else has a lease: it answers nobody.
   */
  failed(life: Life, error: unknown): void {
    if (life.end) return
    if (isTenantBoxError(error, 'AGENT_FAILED') && !error.details.sent) {
      life.ready = false
      life.tenant.doubt()
    }
    // A request's body may come from another tenant's agent, and fail as that does.
    const missed = isTenantBoxError(error, 'TIMEOUT') && error.tenant === life.tenantId
    if (missed && ++life.missed >= MISSED_DEADLINES) void this.#host.sleeper.stopHung(life)
  }

  /** Resolves when nobody waits for the leases to end any more, or this life is over. */
  #gateOpened(life: Life, operation: string, options: CallOptions): Promise<void> {
    const { tenant } = life
    return this.bounded(operation, tenant.id, options, async (signal) => {
      while (tenant.gate && !life.end) await orAbort(tenant.gate, signal)
    })
  }

  async #whenAwake<T>(
    tenant: Tenant,
    operation: string,
    options: CallOptions,
    take: (life: Life) => T,
  ): Promise<T> {
    const { waker, reaper } = this.#host
    const bound =
      options.signal || options.timeout !== undefined
        ? deadline(this.clock, operation, { ...options, tenant: tenant.id })
        : undefined
    tenant.demand++
    reaper.track(tenant)
    this.#host.noteActivity(tenant)
    try {
      for (;;) {
        bound?.signal.throwIfAborted()
        if (this.#closed) throw this.#closed
        if (tenant.gate) await orAbort(tenant.gate, bound?.signal)
        else if (tenant.life && waker.isAwake(tenant)) return take(tenant.life)
        else await waker.wake(tenant, bound?.signal)
      }
    } finally {
      tenant.demand--
      bound?.done()
      this.#host.noteActivity(tenant)
      this.#host.settle(tenant)
    }
  }
}
