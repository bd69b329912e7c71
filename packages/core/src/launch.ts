import type { Admission, StartTurn } from './admission.js'
import type { Clock } from './clock.js'
import { DeathWatch } from './death-watch.js'
import type { Disk } from './disk/disk.js'
import type { BoxRef, Driver } from './driver.js'
import type { EngineConnection } from './engine.js'
import { isTenantBoxError } from './errors.js'
import { freshen } from './freshen.js'
import type { Lives } from './lives.js'
import type { ResolvedOptions, Settings } from './options.js'
import { type BoxPlan, type BoxPlanner, noPhases, type Phases } from './plan.js'
import { type StartedBox, waitUntilReady } from './readiness.js'
import { Rebuilder } from './rebuild.js'
import type { Reconciler } from './reconcile.js'
import { inPhase, type StartPhase, startFailed } from './start-failure.js'
import type { Life, Tenant } from './tenant.js'
import { deadline } from './wait.js'
import type { WarningCode } from './warnings.js'

/** What launching needs of the pool. */
export interface LaunchHost {
  readonly clock: Clock
  readonly driver: Driver
  readonly onDrift: ResolvedOptions['onDrift']
  readonly settings: Settings
  readonly planner: Pick<BoxPlanner, 'plan' | 'commonHash' | 'upkeepOf'>
  readonly disk: Pick<Disk, 'prepare'>
  readonly admission: Pick<Admission, 'turnToStart'>
  readonly engine: Pick<EngineConnection, 'epoch' | 'lost' | 'relistSoon'>
  readonly reconciler: Pick<Reconciler, 'exitOf' | 'refresh'>
  readonly lives: Pick<Lives, 'listen' | 'begin' | 'ended'>
  /** Stops a box that did not become ready. */
  putDown(tenant: Tenant, reason: 'unhealthy' | 'requested'): Promise<void>
  warn(code: WarningCode, message: string, about: { tenant: string; cause?: unknown }): void
}

/** Takes an absent or stopped box to running. Always under the tenant's lock, with a slot. */
export class Launcher {
  readonly #host: LaunchHost
  readonly #rebuilder: Rebuilder

  constructor(host: LaunchHost) {
    this.#host = host
    this.#rebuilder = new Rebuilder(host, (...args) => this.#bringUp(...args))
  }

  /** Forgets which specs failed: somebody says that they are mended. */
  forgive(): void {
    this.#rebuilder.forgive()
  }

  async launch(tenant: Tenant, phases: Phases, signal: AbortSignal): Promise<void> {
    const plan = await this.#host.planner.plan(tenant, phases, signal)
    await inPhase(tenant, 'create', () => this.#host.disk.prepare(tenant, plan.spec.limits.disk, signal))
    tenant.drifted = tenant.box !== undefined && tenant.spec !== plan.hash
    const asked = tenant.rebuildAsked
    tenant.rebuildAsked = false
    if (
      tenant.drifted &&
      (asked || (this.#host.onDrift === 'next-wake' && !this.#rebuilder.isRefused(plan.hash)))
    )
      return this.#rebuilder.rebuild(tenant, plan, phases, signal)
    try {
      await this.#bringUp(tenant, plan, phases, signal)
    } catch (error) {
      if (!(await this.#isGone(tenant, error, signal))) throw error
      await this.#bringUp(tenant, plan, phases, signal)
    }
  }

  /** Whether a start failed because somebody had removed the box, unheard of until then. */
  async #isGone(tenant: Tenant, error: unknown, signal: AbortSignal): Promise<boolean> {
    if (!isTenantBoxError(error, 'START_FAILED') || error.details.phase !== 'start') return false
    await this.#host.reconciler.refresh(tenant, signal)
    return tenant.state === 'absent'
  }

  /** Whether the tenant's box was made from another spec than the present one; noted on the tenant. */
  async hasDrifted(tenant: Tenant, signal: AbortSignal): Promise<boolean> {
    const { hash } = await this.#host.planner.plan(tenant, noPhases(), signal)
    tenant.drifted = tenant.box !== undefined && tenant.spec !== hash
    return tenant.drifted
  }

  /**
   * Marks the boxes that were made from another spec than the pool's present one. With `perTenant` that shows only when
   * each is asked, at its next wake.
   */
  async markDrifted(tenants: Iterable<Tenant>): Promise<void> {
    const hash = await this.#host.planner.commonHash()
    if (hash === undefined) return
    for (const tenant of tenants) tenant.drifted = tenant.box !== undefined && tenant.spec !== hash
  }

  /** Probes a box that runs already; one that does not become ready is stopped. */
  async confirm(tenant: Tenant, phases: Phases, signal: AbortSignal): Promise<void> {
    const { life } = tenant
    if (!life) return
    const { clock, settings, planner } = this.#host
    const { ready } = await planner.upkeepOf(tenant, signal)
    const bound = deadline(clock, 'wake', { signal, timeout: settings.timeouts.connect, tenant: tenant.id })
    const began = clock.monotonic()
    const watch = new DeathWatch(this.#host.driver, life.box, clock)
    try {
      watch.begin(life.startedAt)
      const target = this.#probeTarget(life, watch)
      await waitUntilReady(ready, target, { signal: bound.signal, clock })
      life.ready = true
    } catch (error) {
      if (signal.aborted) throw error
      await this.#host.putDown(tenant, 'unhealthy')
    } finally {
      watch.end()
      bound.done()
    }
    phases.probe += clock.monotonic() - began
  }

  /** Makes the box if there is none, starts it, and waits until it is ready. */
  async #bringUp(tenant: Tenant, plan: BoxPlan, phases: Phases, signal: AbortSignal): Promise<void> {
    const { admission, clock } = this.#host
    // Before the turn: what a tenant has left there may take long to clear away, and is nobody else's trouble.
    await inPhase(tenant, 'start', () => freshen(plan.folders, plan.template.secrets, plan.owner))
    const began = clock.monotonic()
    using turn = await admission.turnToStart(signal)
    phases.queue += clock.monotonic() - began
    if (!tenant.box) await this.#create(tenant, plan, phases, signal)
    await this.#start(tenant, plan, phases, turn, signal)
  }

  async #create(tenant: Tenant, plan: BoxPlan, phases: Phases, signal: AbortSignal): Promise<void> {
    const { driver, clock } = this.#host
    signal.throwIfAborted()
    const began = clock.monotonic()
    tenant.transition('creating', 'demand')
    try {
      const identity = { tenant: tenant.id, slug: tenant.slug, spec: plan.hash }
      tenant.box = await inPhase(tenant, 'create', () => driver.create(identity, plan.spec))
      tenant.spec = plan.hash
      tenant.drifted = false
      tenant.transition('stopped', 'demand')
    } catch (error) {
      // It may have been made all the same: the next wake asks.
      tenant.doubt()
      tenant.transition('absent', 'demand')
      throw error
    }
    phases.create += clock.monotonic() - began
  }

  async #start(
    tenant: Tenant,
    plan: BoxPlan,
    phases: Phases,
    turn: StartTurn,
    signal: AbortSignal,
  ): Promise<void> {
    const { driver, clock, settings, engine } = this.#host
    const box = tenant.box
    if (!box) throw new Error(`nothing to start for ${tenant.slug}`)
    const { epoch } = engine
    signal.throwIfAborted()
    await inPhase(tenant, 'start', () => this.#host.lives.listen(tenant))
    const bound = deadline(clock, 'wake', { signal, timeout: settings.timeouts.wake, tenant: tenant.id })
    const watch = new DeathWatch(driver, box, clock)
    tenant.generation++
    tenant.transition('starting', 'demand')
    let phase: StartPhase = 'start'
    try {
      tenant.onEvent = () => watch.hint()
      const began = clock.monotonic()
      const startedAt = await this.#startAnew(box, plan)
      turn.end()
      const life = this.#host.lives.begin(tenant, box, startedAt)
      const started = clock.monotonic()
      phases.start += started - began
      phase = 'ready'
      watch.begin(startedAt)
      await waitUntilReady(plan.template.ready, this.#probeTarget(life, watch), {
        signal: bound.signal,
        clock,
      })
      phases.probe += clock.monotonic() - started
      life.ready = true
      tenant.knownIn = epoch
      tenant.transition('running', 'demand')
    } catch (error) {
      throw await this.#startFailed(tenant, { box, epoch, phase, watch }, signal, error)
    } finally {
      tenant.onEvent = undefined
      watch.end()
      bound.done()
    }
  }

  /**
   * One that runs by now, started by a call whose answer was lost or by somebody outside, may have made its socket before
   * its folders were emptied: it begins once more.
   */
  async #startAnew(box: BoxRef, { spec, folders, template, owner }: BoxPlan): Promise<number> {
    const { driver } = this.#host
    const { startedAt, already } = await driver.start(box)
    if (!already) return startedAt
    await driver.stop(box, { graceMs: spec.stopGraceMs })
    await freshen(folders, template.secrets, owner)
    return (await driver.start(box)).startedAt
  }

  #probeTarget(life: Life, watch: DeathWatch): StartedBox {
    const { driver } = this.#host
    const { box, transport, tenantId } = life
    return {
      tenant: tenantId,
      fetch: (path, init) => transport.fetch(path, init),
      knock: (signal) => transport.knock(signal),
      dial: (port, signal) => driver.dial(box, { port, signal }),
      logs: (signal) => driver.logs(box, { follow: true, thisLife: true }, { signal }),
      health: async (signal) => (await driver.health?.(box, { signal })) ?? 'healthy',
      exited: watch.died,
    }
  }

  /** Leaves the tenant stopped, and returns what its callers are told. */
  async #startFailed(
    tenant: Tenant,
    { box, epoch, phase, watch }: { box: BoxRef; epoch: number; phase: StartPhase; watch: DeathWatch },
    signal: AbortSignal,
    cause: unknown,
  ): Promise<unknown> {
    const { reconciler } = this.#host
    const gaveUp = signal.aborted
    if (isTenantBoxError(cause, 'ENGINE_UNAVAILABLE')) {
      tenant.doubt()
      tenant.endLife('engine')
      tenant.transition('stopped', 'engine')
      return cause
    }
    const exit = gaveUp ? undefined : await reconciler.exitOf(box, watch.exit)
    // A start that failed may have worked all the same.
    if (phase === 'start') tenant.doubt()
    if (watch.exit || !tenant.life) {
      const reason = watch.exit?.oom ? 'oom' : 'exited'
      tenant.endLife(reason, exit)
      tenant.transition('stopped', reason, exit)
      this.#host.lives.ended(tenant)
    } else await this.#host.putDown(tenant, gaveUp ? 'requested' : 'unhealthy')
    if (!exit) return signal.reason
    tenant.countFailure(epoch, exit)
    return startFailed(tenant, phase, exit, cause)
  }
}
