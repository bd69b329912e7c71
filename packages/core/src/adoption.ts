import type { Admission } from './admission.js'
import { contradicts } from './box-events.js'
import type { Clock } from './clock.js'
import type { BoxRecord, BoxRef, Driver, DriverEvent } from './driver.js'
import type { EngineConnection } from './engine.js'
import { isTenantBoxError } from './errors.js'
import { isLive } from './lifecycle.js'
import type { Reconciler } from './reconcile.js'
import type { Tenant } from './tenant.js'
import type { TenantDirs } from './tenant-dirs.js'
import type { Tenants } from './tenants.js'
import { toMessage } from './text.js'
import type { WarningCode } from './warnings.js'

/** What adoption needs of the pool. */
export interface AdoptionHost {
  readonly clock: Clock
  readonly driver: Pick<Driver, 'inspect' | 'remove' | 'restore'>
  readonly dirs: Pick<TenantDirs, 'scan'>
  readonly engine: Pick<EngineConnection, 'epoch' | 'lost'>
  readonly reconciler: Reconciler
  readonly admission: Pick<Admission, 'occupy' | 'settle'>
  readonly tenants: Pick<Tenants, 'known' | 'find' | 'meet'>
  /** Puts the tenant where it belongs by now. */
  place(tenant: Tenant): void
  warn(code: WarningCode, message: string, about: { tenant?: string; cause?: unknown }): void
}

/** Keeps what the pool knows true to what is: at the start, after an outage, and whenever something happens outside. */
export class Adoption {
  readonly #host: AdoptionHost

  constructor(host: AdoptionHost) {
    this.#host = host
  }

  /** Takes over every folder and every box there is. Before anybody else does anything; returns how many boxes. */
  async begin(records: readonly BoxRecord[]): Promise<number> {
    const { dirs, clock } = this.#host
    const { current, aside } = bySlug(records)
    const { tenants, strays } = await dirs.scan((slug) => (current.get(slug) ?? aside.get(slug))?.ref.tenant)
    for (const { name, reason } of strays)
      this.#host.warn(
        'STRAY_FOLDER',
        `${JSON.stringify(name)} in the data folder is left alone: ${reason}.`,
        {},
      )
    for (const { tenant, slug, repaired } of tenants)
      if (repaired)
        this.#host.warn(
          'TENANT_FILE_REPAIRED',
          `The tenant.json of tenant ${JSON.stringify(tenant)} (${slug}) was unreadable, and is made anew from its box's label; the tenant counts as active now.`,
          { tenant },
        )
    const now = clock.now()
    // The longest idle first, so that each takes its place in the idle lists at once.
    tenants.sort((a, b) => a.lastActivity - b.lastActivity)
    for (const { tenant, slug, lastActivity } of tenants)
      this.#host.tenants.meet(tenant, slug, Math.max(0, now - lastActivity))
    for (const { ref } of records)
      if (!this.#host.tenants.find(ref.tenant)) this.#host.tenants.meet(ref.tenant, ref.slug, 0)
    const { epoch } = this.#host.engine
    for (const tenant of this.#host.tenants.known()) {
      const record = current.get(tenant.slug)
      if (record) await this.#host.reconciler.apply(tenant, record, 'adopted', epoch)
      else tenant.knownIn = epoch
      if (record && isUntold(record)) tenant.doubt()
      if (isLive(tenant.state)) this.#host.admission.occupy(tenant)
    }
    for (const { ref } of aside.values()) await this.#endRebuild(ref)
    for (const tenant of this.#host.tenants.known()) this.#host.place(tenant)
    return records.length
  }

  /** The engine's answer after an outage, or just now and then: whoever differs from it is asked about one by one. */
  async compare(records: readonly BoxRecord[]): Promise<void> {
    const { current, aside } = bySlug(records)
    const { epoch } = this.#host.engine
    for (const { ref } of records)
      if (!this.#host.tenants.find(ref.tenant)) this.#host.tenants.meet(ref.tenant, ref.slug, 0).doubt()
    const differing: Tenant[] = []
    for (const tenant of this.#host.tenants.known()) {
      // What is under way may rest on what was known before.
      if (tenant.serial.busy) differing.push(tenant)
      else if (agrees(tenant, current.get(tenant.slug))) {
        tenant.knownIn = epoch
        // Its slot was kept as long as it was in doubt.
        this.#host.admission.settle(tenant)
      } else {
        tenant.doubt()
        differing.push(tenant)
      }
    }
    // One that is under way ends itself.
    const interrupted = [...aside.values()].filter(
      ({ ref }) => !this.#host.tenants.find(ref.tenant)?.serial.busy,
    )
    for (const tenant of differing) void this.recheck(tenant)
    for (const { ref } of interrupted) void this.#endRebuild(ref)
  }

  /** Something happened to a box: a hint, looked into when it contradicts what the pool knows. */
  happened(event: DriverEvent): void {
    const tenant = this.#host.tenants.find(event.ref.tenant)
    if (!tenant || (tenant.box && tenant.box.id !== event.ref.id)) return
    // A start tells nothing of how the box does, and comes with every wake.
    if (event.type !== 'started') tenant.onEvent?.()
    const surprising = (): boolean => contradicts(event, tenant.state)
    if (!tenant.serial.busy) {
      if (!surprising()) return
      // From here on nobody takes the box for running without asking.
      tenant.doubt()
    }
    void this.recheck(tenant, surprising)
  }

  /** Asks the engine once nothing else is under way. */
  async recheck(tenant: Tenant, stillSurprising?: () => boolean): Promise<void> {
    try {
      await tenant.serial.run(async () => {
        if (stillSurprising?.()) tenant.doubt()
        await this.#host.reconciler.refresh(tenant)
      })
      if (isLive(tenant.state)) this.#host.admission.occupy(tenant)
    } catch (cause) {
      if (isTenantBoxError(cause, 'ENGINE_UNAVAILABLE')) this.#host.engine.lost(cause)
      else
        this.#failed(
          'BOX_NOT_FOLLOWED',
          'what happened to the box could not be followed, and is looked into at its next use',
          tenant,
          cause,
        )
    }
    this.#host.place(tenant)
  }

  /**
   * Ends a rebuild that a crash or an outage has interrupted: the old box comes back, unless the new one has proved
   * itself by now.
   */
  async #endRebuild(old: BoxRef): Promise<void> {
    const tenant = this.#host.tenants.find(old.tenant)
    if (!tenant) return
    await tenant.serial.run(async () => {
      try {
        await this.#chooseBox(tenant, old).catch((error: unknown) => {
          // A successor that the engine was still making may have come to the name just now.
          if (!isTenantBoxError(error, 'START_FAILED')) throw error
          return this.#chooseBox(tenant, old)
        })
      } catch (cause) {
        this.#failed(
          'REBUILD_NOT_ENDED',
          'an interrupted rebuild has left the old box aside, and is tried to be ended again later',
          tenant,
          cause,
        )
      }
    })
    this.#host.place(tenant)
  }

  /** What an earlier process has asked for, the engine may do only now: what was listed does not count. */
  async #chooseBox(tenant: Tenant, old: BoxRef): Promise<void> {
    const { driver, engine, reconciler } = this.#host
    const record = await driver.inspect(old)
    tenant.doubt()
    await reconciler.refresh(tenant)
    if (!record?.aside) return
    const { life, leases } = tenant
    const successor = tenant.box?.id === old.id ? undefined : tenant.box
    if (successor && (life?.ready || leases > 0)) return driver.remove(old)
    if (successor) await this.#removeSuccessor(tenant, successor)
    await driver.restore(old)
    await reconciler.apply(tenant, { ...record, aside: false }, 'adopted', engine.epoch)
    tenant.drifted = true
  }

  #failed(code: WarningCode, what: string, tenant: Tenant, cause: unknown): void {
    tenant.doubt()
    // Nobody is left to follow anything.
    if (isTenantBoxError(cause, 'POOL_CLOSED')) return
    const message = `Tenant ${JSON.stringify(tenant.id)}: ${what}. ${toMessage(cause)}`
    this.#host.warn(code, message, { tenant: tenant.id, cause })
  }

  async #removeSuccessor(tenant: Tenant, successor: BoxRef): Promise<void> {
    await this.#host.driver.remove(successor)
    await this.#host.reconciler.apply(tenant, undefined, 'outside', this.#host.engine.epoch)
  }
}

/** Whether a listing says what the pool knows already. */
function agrees(tenant: Tenant, record: BoxRecord | undefined): boolean {
  if (!record) return tenant.state === 'absent'
  if (tenant.state !== record.state || tenant.box?.id !== record.ref.id) return false
  return isUntold(record) || record.state === 'stopped' || tenant.life?.startedAt === record.startedAt
}

/** Whether the engine has listed a live box, but will not tell more of it: it must be asked again. */
function isUntold({ state, startedAt }: BoxRecord): boolean {
  return state !== 'stopped' && startedAt === 0
}

function bySlug(records: readonly BoxRecord[]): {
  current: Map<string, BoxRecord>
  aside: Map<string, BoxRecord>
} {
  const current = new Map<string, BoxRecord>()
  const aside = new Map<string, BoxRecord>()
  for (const record of records) (record.aside ? aside : current).set(record.ref.slug, record)
  return { current, aside }
}
