import type { Admission } from './admission.js'
import type { BoxTemplate } from './box-spec.js'
import type { Clock } from './clock.js'
import { DeathWatch } from './death-watch.js'
import type { BoxRef, Driver, DriverReport, ResolvedBoxSpec } from './driver.js'
import type { EngineConnection } from './engine.js'
import { isTenantBoxError, TenantBoxError } from './errors.js'
import type { Exit, PoolEvents } from './lifecycle.js'
import { applyOverrides, type ResolvedOptions, type Settings } from './options.js'
import { type StartedBox, waitUntilReady } from './readiness.js'
import type { Reconciler } from './reconcile.js'
import type { Life, Tenant } from './tenant.js'
import type { Owner, TenantDirs, TenantFolders } from './tenant-dirs.js'
import { toMessage } from './text.js'
import { deadline, orAbort } from './wait.js'

export type Phases = PoolEvents['ready']['phases']
type Phase = TenantBoxError<'START_FAILED'>['details']['phase']

/** What launching needs of the pool. */
export interface LaunchHost {
  readonly clock: Clock
  readonly driver: Driver
  readonly onDrift: ResolvedOptions['onDrift']
  readonly settings: Settings
  readonly report: Pick<DriverReport, 'transport' | 'uids'>
  readonly dirs: TenantDirs
  readonly admission: Pick<Admission, 'start'>
  readonly engine: Pick<EngineConnection, 'epoch' | 'lost'>
  readonly reconciler: Pick<Reconciler, 'exitOf'>
  /** Opens the way from the box to the gateway. */
  listen(tenant: Tenant): Promise<void>
  beginLife(tenant: Tenant, box: BoxRef, startedAt: number): Life
  /** Stops a box that did not become ready. */
  putDown(tenant: Tenant, reason: 'unhealthy' | 'requested'): Promise<void>
  pulling(event: PoolEvents['pull']): void
  warn(code: string, message: string, about: { tenant: string; cause?: unknown }): void
}

/** A tenant's box as it should be now. */
interface Plan {
  readonly template: BoxTemplate
  readonly spec: ResolvedBoxSpec
  readonly hash: string
  readonly folders: TenantFolders
  readonly owner: Owner | undefined
}

/** Takes an absent or stopped box to running. Always under the tenant's lock, with a slot. */
export class Launcher {
  readonly #host: LaunchHost
  /** Specs that a rebuild failed with, and until when nobody tries them again. */
  readonly #refused = new Map<string, number>()

  constructor(host: LaunchHost) {
    this.#host = host
  }

  /** Forgets which specs failed: somebody says that they are mended. */
  forgive(): void {
    this.#refused.clear()
  }

  async launch(tenant: Tenant, phases: Phases, signal: AbortSignal): Promise<void> {
    const plan = await this.#plan(tenant, phases, signal)
    tenant.drifted = tenant.box !== undefined && tenant.spec !== plan.hash
    if (tenant.drifted && this.#host.onDrift === 'next-wake' && !this.#isRefused(plan.hash))
      return this.#rebuild(tenant, plan, phases, signal)
    if (!tenant.box) await this.#create(tenant, plan, phases, signal)
    await this.#start(tenant, plan, phases, signal)
  }

  /** Whether the tenant's box was made from another spec than the present one; noted on the tenant. */
  async hasDrifted(tenant: Tenant, signal: AbortSignal): Promise<boolean> {
    const { hash } = await this.#plan(tenant, { queue: 0, pull: 0, create: 0, start: 0, probe: 0 }, signal)
    tenant.drifted = tenant.box !== undefined && tenant.spec !== hash
    return tenant.drifted
  }

  /** Probes a box that runs already; one that does not become ready is stopped. */
  async confirm(tenant: Tenant, phases: Phases, signal: AbortSignal): Promise<void> {
    const { life } = tenant
    if (!life) return
    const { clock, settings } = this.#host
    const bound = deadline(clock, 'wake', { signal, timeout: settings.timeouts.connect, tenant: tenant.id })
    const began = clock.monotonic()
    const watch = new DeathWatch(this.#host.driver, life.box, clock)
    try {
      watch.begin(life.startedAt)
      const target = this.#probeTarget(life, watch)
      await waitUntilReady(settings.box.ready, target, { signal: bound.signal, clock })
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

  async #plan(tenant: Tenant, phases: Phases, signal: AbortSignal): Promise<Plan> {
    const { settings, dirs, report, driver, clock } = this.#host
    const overrides = settings.perTenant ? await this.#overrides(tenant, settings, signal) : {}
    const { box: template, idle } = applyOverrides(settings, overrides)
    tenant.idle = overrides.idle ? idle : undefined
    const perTenant = template.user === undefined || template.user === 'per-tenant'
    const { uid } = await dirs.ensure(tenant.id, tenant.slug, perTenant ? report.uids : undefined)
    const spec = resolveFor(template, perTenant ? uid : undefined, report.transport)
    const began = clock.monotonic()
    const { image } = await this.#inPhase(tenant, 'pull', () =>
      driver.prepare(spec, {
        signal,
        onPull: (progress) => this.#host.pulling({ at: clock.now(), ...progress }),
      }),
    )
    phases.pull += clock.monotonic() - began
    // Neither the uid nor the folders are part of it: they are the tenant's for good.
    const { user: _, ...shared } = spec
    return {
      template,
      spec,
      hash: dirs.fingerprint({ ...shared, asked: template.user ?? 'default', image }),
      folders: dirs.folders(tenant.slug),
      owner: spec.user,
    }
  }

  async #overrides(tenant: Tenant, settings: Settings, signal: AbortSignal) {
    const { clock } = this.#host
    const bound = deadline(clock, 'perTenant', { signal, timeout: settings.timeouts.wake, tenant: tenant.id })
    try {
      return (
        (await orAbort(Promise.resolve(settings.perTenant?.(tenant.id, bound.signal)), bound.signal)) ?? {}
      )
    } finally {
      bound.done()
    }
  }

  async #create(tenant: Tenant, plan: Plan, phases: Phases, signal: AbortSignal): Promise<void> {
    const { driver, clock, dirs, admission } = this.#host
    signal.throwIfAborted()
    const began = clock.monotonic()
    tenant.transition('creating', 'demand')
    try {
      await dirs.freshen(plan.folders, plan.template.secrets, plan.owner)
      const identity = { tenant: tenant.id, slug: tenant.slug, spec: plan.hash }
      tenant.box = await this.#inPhase(tenant, 'create', () =>
        admission.start(() => driver.create(identity, plan.spec)),
      )
      tenant.spec = plan.hash
      tenant.drifted = false
      tenant.transition('stopped', 'demand')
    } catch (error) {
      // It may have been made all the same: the next wake asks.
      tenant.knownIn = -1
      tenant.transition('absent', 'demand')
      throw error
    }
    phases.create += clock.monotonic() - began
  }

  async #start(tenant: Tenant, plan: Plan, phases: Phases, signal: AbortSignal): Promise<void> {
    const { driver, clock, dirs, admission, settings, engine } = this.#host
    const box = tenant.box
    if (!box) throw new Error(`nothing to start for ${tenant.slug}`)
    const { epoch } = engine
    signal.throwIfAborted()
    await this.#host.listen(tenant)
    await dirs.freshen(plan.folders, plan.template.secrets, plan.owner)
    const bound = deadline(clock, 'wake', { signal, timeout: settings.timeouts.wake, tenant: tenant.id })
    const watch = new DeathWatch(driver, box, clock)
    tenant.generation++
    tenant.transition('starting', 'demand')
    let phase: Phase = 'start'
    try {
      tenant.onEvent = () => watch.hint()
      const began = clock.monotonic()
      const { startedAt } = await admission.start(() => driver.start(box))
      const life = this.#host.beginLife(tenant, box, startedAt)
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
      throw await this.#startFailed(tenant, box, phase, watch, signal, error)
    } finally {
      tenant.onEvent = undefined
      watch.end()
      bound.done()
    }
  }

  #probeTarget(life: Life, watch: DeathWatch): StartedBox {
    const { driver } = this.#host
    const { box, transport, startedAt, tenantId } = life
    return {
      tenant: tenantId,
      fetch: (path, init) => transport.fetch(path, init),
      dial: (port, signal) => driver.dial(box, { port, signal }),
      logs: (signal) => driver.logs(box, { follow: true, since: startedAt }, { signal }),
      health: async (signal) => (await driver.health?.(box, { signal })) ?? 'healthy',
      exited: watch.died,
    }
  }

  /** Leaves the tenant stopped, and returns what its callers are told. */
  async #startFailed(
    tenant: Tenant,
    box: BoxRef,
    phase: Phase,
    watch: DeathWatch,
    signal: AbortSignal,
    cause: unknown,
  ): Promise<unknown> {
    const { reconciler, clock } = this.#host
    const gaveUp = signal.aborted
    if (isTenantBoxError(cause, 'ENGINE_UNAVAILABLE')) {
      tenant.knownIn = -1
      tenant.endLife('engine')
      tenant.transition('stopped', 'engine')
      return cause
    }
    const exit = gaveUp ? undefined : await reconciler.exitOf(box, watch.exit)
    if (watch.exit || !tenant.life) {
      const reason = watch.exit?.oom ? 'oom' : 'exited'
      tenant.endLife(reason, exit)
      tenant.transition('stopped', reason, exit)
    } else await this.#host.putDown(tenant, gaveUp ? 'requested' : 'unhealthy')
    if (!exit) return signal.reason
    tenant.failures++
    tenant.failedAt = clock.monotonic()
    tenant.lastExit = exit
    return startFailed(tenant, phase, exit, cause)
  }

  /** Makes the box anew, keeping the old one aside until the new one is ready. */
  async #rebuild(tenant: Tenant, plan: Plan, phases: Phases, signal: AbortSignal): Promise<void> {
    const { driver, clock } = this.#host
    const old = tenant.box
    const oldSpec = tenant.spec
    if (!old) throw new Error(`nothing to rebuild for ${tenant.slug}`)
    tenant.transition('removing', 'drift')
    try {
      await driver.setAside(old)
      tenant.box = undefined
      tenant.transition('absent', 'drift')
    } catch (error) {
      tenant.knownIn = -1
      tenant.transition('stopped', 'drift')
      throw error
    }
    try {
      await this.#create(tenant, plan, phases, signal)
      await this.#start(tenant, plan, phases, signal)
    } catch (error) {
      await this.#undoRebuild(tenant, old, oldSpec)
      if (signal.aborted || isTenantBoxError(error, 'ENGINE_UNAVAILABLE')) throw error
      this.#refused.set(plan.hash, clock.monotonic() + REFUSED_MS)
      this.#host.warn(
        'REBUILD_FAILED',
        `The new spec of tenant ${JSON.stringify(tenant.id)}'s box did not become ready; the old box goes on. ${toMessage(error)}`,
        { tenant: tenant.id, cause: error },
      )
      tenant.failures = 0
      return this.#start(tenant, plan, phases, signal)
    }
    await driver.remove(old)
  }

  async #undoRebuild(tenant: Tenant, old: BoxRef, oldSpec: string | undefined): Promise<void> {
    const { driver } = this.#host
    try {
      if (tenant.box) {
        tenant.transition('removing', 'drift')
        await driver.remove(tenant.box)
        tenant.box = undefined
        tenant.transition('absent', 'drift')
      }
      await driver.restore(old)
      tenant.box = old
      tenant.spec = oldSpec
      tenant.drifted = true
      tenant.transition('stopped', 'drift')
    } catch (error) {
      tenant.knownIn = -1
      if (tenant.state === 'removing') tenant.transition('stopped', 'drift')
      throw error
    }
  }

  #isRefused(hash: string): boolean {
    const until = this.#refused.get(hash)
    if (until === undefined || until > this.#host.clock.monotonic()) return until !== undefined
    this.#refused.delete(hash)
    return false
  }

  /** The driver's own errors, or `START_FAILED` in this phase for anything else. */
  async #inPhase<T>(tenant: Tenant, phase: Phase, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      if (isTenantBoxError(error) || (error instanceof Error && error.name === 'AbortError')) throw error
      throw startFailed(tenant, phase, { oom: false, lastLogs: [] }, error)
    }
  }
}

/** For how long no box is rebuilt to a spec that just failed. */
const REFUSED_MS = 5 * 60_000

function startFailed(
  tenant: Tenant,
  phase: Phase,
  exit: Exit,
  cause: unknown,
): TenantBoxError<'START_FAILED'> {
  const how = exit.oom
    ? 'it ran out of memory: raise box.limits.memory'
    : exit.code === undefined
      ? toMessage(cause)
      : `its process exited with code ${exit.code}: see details.lastLogs`
  return new TenantBoxError(
    'START_FAILED',
    `The box of tenant ${JSON.stringify(tenant.id)} did not come up (${phase}): ${how}`,
    { ...exit, phase },
    { tenant: tenant.id, cause },
  )
}

function resolveFor(
  template: BoxTemplate,
  uid: number | undefined,
  transport: 'socket' | 'port',
): ResolvedBoxSpec {
  const { secrets: _, ready, user, transport: asked, ...rest } = template
  return {
    ...rest,
    healthcheck: ready === 'healthcheck',
    transport: asked !== 'auto' ? asked : transport === 'socket' ? 'socket' : { port: DEFAULT_PORT },
    user: typeof user === 'object' ? user : uid === undefined ? undefined : { uid, gid: uid },
  }
}

/** What an agent listens on in its box where sockets cannot cross. */
const DEFAULT_PORT = 8080
