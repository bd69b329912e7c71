import { orAbort } from './abort.js'
import type { BoxTemplate, Upkeep } from './box-spec.js'
import type { Clock } from './clock.js'
import type { Driver, DriverReport, ResolvedBoxSpec } from './driver.js'
import type { Owner } from './freshen.js'
import type { PoolEvents } from './lifecycle.js'
import type { Settings, TenantOverrides } from './options.js'
import { applyOverrides } from './overrides.js'
import { inPhase } from './start-failure.js'
import type { Tenant } from './tenant.js'
import type { TenantDirs, TenantFolders } from './tenant-dirs.js'
import { deadline } from './wait.js'

export type Phases = PoolEvents['ready']['phases']

export function noPhases(): Phases {
  return { queue: 0, pull: 0, create: 0, start: 0, probe: 0 }
}

/** What planning needs of the pool. */
export interface PlanHost {
  readonly clock: Clock
  readonly driver: Pick<Driver, 'prepare'>
  readonly settings: Settings
  readonly report: Pick<DriverReport, 'transport' | 'uids'>
  readonly dirs: Pick<TenantDirs, 'ensure' | 'fingerprint' | 'folders'>
  pulling(event: PoolEvents['pull']): void
}

/** A tenant's box as it should be now. */
export interface BoxPlan {
  readonly template: BoxTemplate
  readonly spec: ResolvedBoxSpec
  /** Differs whenever a box made from this plan would. */
  readonly hash: string
  readonly folders: TenantFolders
  readonly owner: Owner | undefined
}

/** What an agent listens on in its box where sockets cannot cross. */
const DEFAULT_PORT = 8080

/** Works out what a tenant's box should be made of: the pool's options, the tenant's overrides, its uid, the image there is. */
export class BoxPlanner {
  readonly #host: PlanHost

  constructor(host: PlanHost) {
    this.#host = host
  }

  /** Makes the tenant's folder and pulls the image if it must. */
  async plan(tenant: Tenant, phases: Phases, signal: AbortSignal): Promise<BoxPlan> {
    const { dirs, report, clock } = this.#host
    const template = await this.#resolve(tenant, signal)
    const perTenant = template.user === undefined || template.user === 'per-tenant'
    const { uid } = await inPhase(tenant, 'create', () =>
      dirs.ensure(tenant.id, tenant.slug, perTenant ? report.uids : undefined),
    )
    const spec = resolveFor(template, perTenant ? uid : undefined, report.transport)
    const began = clock.monotonic()
    const image = await this.#imageOf(tenant, spec, signal)
    phases.pull += clock.monotonic() - began
    return {
      template,
      spec,
      hash: this.#hash(template, spec, image),
      folders: dirs.folders(tenant.slug),
      owner: spec.user,
    }
  }

  /** The hash that all tenants' boxes have, where they have one; undefined, too, when the image cannot be looked up now. */
  async commonHash(): Promise<string | undefined> {
    const { settings, report, driver } = this.#host
    if (settings.perTenant) return undefined
    const spec = resolveFor(settings.box, undefined, report.transport)
    try {
      const { image } = await driver.prepare(spec)
      return this.#hash(settings.box, spec, image)
    } catch {
      // The next wake needs the image too, and tells its caller what is wrong with it.
      return undefined
    }
  }

  /** Neither the uid nor the folders are part of it: they are the tenant's for good. */
  #hash(template: BoxTemplate, { user: _, ...shared }: ResolvedBoxSpec, image: string): string {
    return this.#host.dirs.fingerprint({ ...shared, user: template.user ?? 'default', image })
  }

  /** Finds out which idle tiers are this tenant's, where that is not known yet: a plan need not have been made here. */
  async learnIdle(tenant: Tenant, signal: AbortSignal): Promise<void> {
    if (tenant.idle === 'unasked') await this.#resolve(tenant, signal)
  }

  /** How the tenant's box is probed and stopped, asked for where this process has not heard of it yet. */
  async upkeepOf(tenant: Tenant, signal: AbortSignal): Promise<Upkeep> {
    const { upkeep } = tenant
    if (upkeep === 'unasked') return this.#resolve(tenant, signal)
    return upkeep === 'pool' ? this.#host.settings.box : upkeep
  }

  async #resolve(tenant: Tenant, signal: AbortSignal): Promise<BoxTemplate> {
    const overrides = await this.#overrides(tenant, signal)
    const { box, idle } = applyOverrides(this.#host.settings, overrides)
    tenant.upkeep = overrides.box ? { ready: box.ready, stopGraceMs: box.stopGraceMs } : 'pool'
    tenant.idle = overrides.idle ? idle : 'pool'
    return box
  }

  /** The tenant's `limits.disk` in bytes, as of now. */
  async diskLimit(tenant: Tenant, signal: AbortSignal): Promise<number | undefined> {
    const overrides = await this.#overrides(tenant, signal)
    return applyOverrides(this.#host.settings, overrides).box.limits.disk
  }

  async #overrides(tenant: Tenant, signal: AbortSignal): Promise<TenantOverrides> {
    const { settings, clock } = this.#host
    if (!settings.perTenant) return {}
    const bound = deadline(clock, 'perTenant', { signal, timeout: settings.timeouts.wake, tenant: tenant.id })
    try {
      return (await orAbort(Promise.resolve(settings.perTenant(tenant.id, bound.signal)), bound.signal)) ?? {}
    } finally {
      bound.done()
    }
  }

  async #imageOf(tenant: Tenant, spec: ResolvedBoxSpec, signal: AbortSignal): Promise<string> {
    const { driver, clock } = this.#host
    const onPull = (progress: Omit<PoolEvents['pull'], 'at'>): void =>
      this.#host.pulling({ at: clock.now(), ...progress })
    const { image } = await inPhase(tenant, 'pull', () => driver.prepare(spec, { signal, onPull }))
    return image
  }
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
