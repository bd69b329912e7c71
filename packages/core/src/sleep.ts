import { orAbort } from './abort.js'
import type { Eviction } from './admission.js'
import type { BoxRef, Driver } from './driver.js'
import type { EngineConnection } from './engine.js'
import { isTenantBoxError, TenantBoxError } from './errors.js'
import { dueTier, type IdleTier } from './idle.js'
import type { DownReason } from './lifecycle.js'
import type { Lives } from './lives.js'
import type { BoxPlanner } from './plan.js'
import type { Reconciler } from './reconcile.js'
import type { Life, Tenant } from './tenant.js'
import { toMessage } from './text.js'
import { ANSWER_MS, Vetoes, type VetoHost } from './veto.js'
import { deadline } from './wait.js'

/** What putting to sleep needs of the pool. */
export interface SleepHost extends VetoHost {
  readonly driver: Driver
  readonly engine: Pick<EngineConnection, 'lost'>
  readonly reconciler: Pick<Reconciler, 'refresh' | 'exitOf'>
  readonly planner: Pick<BoxPlanner, 'learnIdle'>
  readonly lives: Pick<Lives, 'begin' | 'ended'>
  stopGraceOf(tenant: Tenant): number
  settle(tenant: Tenant): void
}

/** Puts boxes to sleep: on the pool's own account only when nobody wants them, or because somebody says so. */
export class Sleeper {
  readonly #host: SleepHost
  readonly #closing = new AbortController()
  readonly #vetoes: Vetoes

  constructor(host: SleepHost) {
    this.#host = host
    this.#vetoes = new Vetoes(host, this.#closing.signal)
  }

  /** From now on boxes sleep only when told to; what the app and the agents are asked is waited for no longer. */
  close(reason: Error): void {
    this.#closing.abort(reason)
  }

  /** Applies the idle tier that is due, if it still is when the lock is held and nobody objects. */
  async whenIdle(tenant: Tenant): Promise<'slept' | 'vetoed' | 'not due'> {
    if (!this.#due(tenant)) return 'not due'
    await this.#learnIdle(tenant)
    if (!this.#due(tenant)) return 'not due'
    if (await this.#vetoes.objectTo(tenant)) return 'vetoed'
    return tenant.serial.run(async () => {
      // Everything may have changed while the lock and the veto were waited for. From here to the transition
      // nothing awaits, so that nobody can come to want the box in between.
      await this.#host.reconciler.refresh(tenant)
      const still = this.#due(tenant)
      if (!still) return 'not due'
      await this.#down(tenant, still, 'idle')
      return 'slept'
    })
  }

  /**
   * Stops a box to make room for another tenant's. Newcomers queue from the first moment on, and then behind whom the
   * room is for: or uses that follow each other closely would keep it for good.
   */
  async evict(tenant: Tenant): Promise<Eviction> {
    if (tenant.wanted || tenant.gate || tenant.flight) return 'kept'
    const openGate = this.#closeGate(tenant)
    try {
      if (await this.#vetoes.objectTo(tenant)) return 'vetoed'
      return await tenant.serial.run(async () => {
        await this.#host.reconciler.refresh(tenant)
        // The veto itself may have left something open.
        if (this.#closing.signal.aborted || tenant.leases > 0) return 'kept'
        await this.#down(tenant, 'stop', 'evicted')
        return 'evicted'
      })
    } finally {
      openGate()
    }
  }

  /**
   * Somebody says so: waits for the leases, or aborts them. Once begun it is carried through, also when its caller gives
   * up. `afterwards` runs before anybody else may come.
   *
   * @throws TenantBoxError `BUSY` when the signal's timeout comes before the leases' end
   */
  async onRequest(
    tenant: Tenant,
    tier: IdleTier,
    reason: DownReason,
    options: { leases: 'wait' | 'abort'; signal: AbortSignal; afterwards?: () => Promise<void> },
  ): Promise<void> {
    const { leases, signal, afterwards } = options
    while (tenant.gate) await orAbort(tenant.gate, signal)
    // Those who have waited behind another would begin when the pool has let go of everything.
    if (reason !== 'shutdown') this.#closing.signal.throwIfAborted()
    const openGate = this.#closeGate(tenant)
    try {
      if (leases === 'abort') this.#abortLeases(tenant, tier, reason)
      else await this.#leasesEnded(tenant, signal)
    } catch (error) {
      openGate()
      throw error
    }
    const done = tenant.serial.run(async () => {
      signal.throwIfAborted()
      await this.#host.reconciler.refresh(tenant)
      await this.#down(tenant, tier, reason)
      await afterwards?.()
    })
    await orAbort(done.finally(openGate), signal)
  }

  /** Stops the box of a life whose agent hangs, whoever wants it. */
  async stopHung(life: Life): Promise<void> {
    const { tenant } = life
    try {
      await tenant.serial.run(async () => {
        await this.#host.reconciler.refresh(tenant)
        if (!life.end) await this.#down(tenant, 'stop', 'unhealthy')
      })
    } catch (cause) {
      this.#host.warn(
        'UNHEALTHY_NOT_STOPPED',
        `The agent of tenant ${JSON.stringify(tenant.id)} hangs, and its box could not be stopped: ${toMessage(cause)}`,
        { tenant: tenant.id, cause },
      )
    }
    this.#host.settle(tenant)
  }

  /** Takes a live box down at once, whoever wants it. Under the tenant's lock. */
  async putDown(tenant: Tenant, reason: DownReason): Promise<void> {
    await this.#down(tenant, 'stop', reason)
  }

  /** New callers queue until the returned function is called. */
  #closeGate(tenant: Tenant): () => void {
    let open = (): void => undefined
    tenant.gate = new Promise((resolve) => {
      open = resolve
    })
    return () => {
      tenant.gate = undefined
      open()
      this.#host.settle(tenant)
    }
  }

  #abortLeases(tenant: Tenant, tier: IdleTier, reason: DownReason): void {
    const error = new TenantBoxError(
      'STALE_BOX',
      `Tenant ${JSON.stringify(tenant.id)}'s box was told to ${tier}, and its leases were aborted.`,
      { generation: tenant.generation, reason },
      { tenant: tenant.id },
    )
    for (const lease of [...(tenant.life?.leases ?? [])]) lease.end('aborted', error)
  }

  async #leasesEnded(tenant: Tenant, signal: AbortSignal): Promise<void> {
    if (tenant.leases === 0) return
    try {
      await orAbort(tenant.whenQuiet(), signal)
    } catch (error) {
      if (!isTenantBoxError(error, 'TIMEOUT')) throw error
      const { leases } = tenant
      throw new TenantBoxError(
        'BUSY',
        `Tenant ${JSON.stringify(tenant.id)}'s box is still leased (${leases}) after ${error.details.afterMs} ms. Wait longer, or pass { leases: 'abort' }.`,
        { leases },
        { tenant: tenant.id },
      )
    }
  }

  #due(tenant: Tenant): IdleTier | undefined {
    if (this.#closing.signal.aborted) return undefined
    if (tenant.wanted || tenant.gate || tenant.flight) return undefined
    const idleMs = this.#host.clock.monotonic() - tenant.lastActive
    return dueTier(tenant.state, idleMs, this.#host.idleOf(tenant))
  }

  /** Who cannot say whether a tenant has tiers of its own leaves it with the pool's. */
  async #learnIdle(tenant: Tenant): Promise<void> {
    const bound = deadline(this.#host.clock, 'perTenant', {
      signal: this.#closing.signal,
      timeout: ANSWER_MS,
      tenant: tenant.id,
    })
    try {
      await this.#host.planner.learnIdle(tenant, bound.signal)
    } catch (cause) {
      if (this.#closing.signal.aborted) return
      this.#host.warn(
        'PER_TENANT_FAILED',
        `What perTenant says of tenant ${JSON.stringify(tenant.id)} could not be found out; the pool's idle tiers apply. ${toMessage(cause)}`,
        {
          tenant: tenant.id,
          cause,
        },
      )
    } finally {
      bound.done()
    }
  }

  /** From a settled state to where `tier` leads; what lies below already stays. Under the tenant's lock. */
  async #down(tenant: Tenant, tier: IdleTier, reason: DownReason): Promise<void> {
    if (tier === 'pause') {
      if (tenant.state === 'running') await this.#pause(tenant, reason)
      return
    }
    if (tenant.state === 'running' || tenant.state === 'paused' || tenant.state === 'starting')
      await this.#stop(tenant, reason)
    if (tier === 'remove' && tenant.state === 'stopped') await this.#remove(tenant, reason)
  }

  async #pause(tenant: Tenant, reason: DownReason): Promise<void> {
    const box = boxOf(tenant)
    tenant.transition('pausing', reason)
    try {
      await this.#host.driver.pause(box)
      tenant.transition('paused', reason)
    } catch (error) {
      this.#uncertain(tenant, error)
      tenant.transition('running', reason)
      throw error
    }
  }

  async #stop(tenant: Tenant, reason: DownReason): Promise<void> {
    const box = boxOf(tenant)
    const { state: from, life } = tenant
    tenant.transition('stopping', reason)
    tenant.endLife(reason)
    try {
      await this.#host.driver.stop(box, { graceMs: this.#host.stopGraceOf(tenant) })
      if (reason !== 'unhealthy') tenant.failures = 0
      // A start that fails is counted by who made it.
      else if (life && from !== 'starting')
        tenant.noteFailure(life, await this.#host.reconciler.exitOf(box, undefined))
      tenant.transition('stopped', reason)
      this.#host.lives.ended(tenant)
    } catch (error) {
      // Whether it lives nobody knows; the old life is over for its holders all the same.
      this.#uncertain(tenant, error)
      if (life && from !== 'starting') {
        tenant.generation++
        this.#host.lives.begin(tenant, box, life.startedAt)
        tenant.transition(from === 'paused' ? 'paused' : 'running', reason)
      } else tenant.transition('stopped', reason)
      throw error
    }
  }

  async #remove(tenant: Tenant, reason: DownReason): Promise<void> {
    const box = boxOf(tenant)
    tenant.transition('removing', reason)
    try {
      await this.#host.driver.remove(box)
      tenant.box = undefined
      tenant.spec = undefined
      tenant.drifted = false
      tenant.transition('absent', reason)
    } catch (error) {
      this.#uncertain(tenant, error)
      tenant.transition('stopped', reason)
      throw error
    }
  }

  /** A call that failed may have worked: the engine must be asked before anything else is done. */
  #uncertain(tenant: Tenant, error: unknown): void {
    tenant.doubt()
    if (isTenantBoxError(error, 'ENGINE_UNAVAILABLE')) this.#host.engine.lost(error)
  }
}

function boxOf(tenant: Tenant): BoxRef {
  if (!tenant.box) throw new Error(`${tenant.slug} is ${tenant.state} without a box`)
  return tenant.box
}
