import type { Admission } from './admission.js'
import type { Clock } from './clock.js'
import type { BoxExit, BoxRecord, BoxRef, Driver } from './driver.js'
import { isTenantBoxError } from './errors.js'
import { lastLines } from './last-lines.js'
import { type Exit, isLive } from './lifecycle.js'
import type { Lives } from './lives.js'
import type { Life, Tenant } from './tenant.js'

/** What reconciling needs of the pool. */
export interface ReconcileHost {
  readonly clock: Clock
  readonly driver: Pick<Driver, 'inspect' | 'find' | 'logs' | 'restore'>
  readonly admission: Pick<Admission, 'settle'>
  readonly lives: Pick<Lives, 'takeOver' | 'ended'>
  readonly epoch: number
}

/** Makes what the pool believes of tenants true again, by what the engine says. Always under the tenant's lock. */
export class Reconciler {
  readonly #host: ReconcileHost

  constructor(host: ReconcileHost) {
    this.#host = host
  }

  /** Asks the engine about this tenant's box, unless that is known already. @throws what the driver throws */
  async refresh(tenant: Tenant, signal?: AbortSignal): Promise<void> {
    const { epoch } = this.#host
    if (tenant.knownIn === epoch) return
    const known = tenant.box && (await this.#known(tenant.box, signal))
    const record = known ?? (await this.#named(tenant.slug, signal))
    await this.apply(tenant, record, 'outside', epoch)
    // Its slot was kept as long as it was in doubt.
    this.#host.admission.settle(tenant)
  }

  /** One that was set aside by a call whose answer was lost gets its name back. */
  async #known(box: BoxRef, signal: AbortSignal | undefined): Promise<BoxRecord | undefined> {
    const { driver } = this.#host
    const record = await driver.inspect(box, { signal })
    if (!record?.aside) return record
    await driver.restore(box, { signal })
    return { ...record, aside: false }
  }

  /** A stranger under the tenant's name is none of ours; whoever makes a box there is told. */
  async #named(slug: string, signal: AbortSignal | undefined): Promise<BoxRecord | undefined> {
    try {
      return await this.#host.driver.find(slug, { signal })
    } catch (error) {
      if (isTenantBoxError(error, 'FOREIGN_BOX')) return undefined
      throw error
    }
  }

  /** Takes the tenant to what the engine says of it. `epoch`: when that was asked. */
  async apply(
    tenant: Tenant,
    record: BoxRecord | undefined,
    reason: 'adopted' | 'outside',
    epoch: number,
  ): Promise<void> {
    const { life } = tenant
    const goesOn =
      life !== undefined &&
      record !== undefined &&
      record.state !== 'stopped' &&
      record.ref.id === life.box.id &&
      (record.startedAt === life.startedAt || life.startedAt === 0)
    if (goesOn) life.startedAt = record.startedAt
    else if (life) await this.#bury(tenant, life, record)
    tenant.box = record?.ref
    tenant.spec = record?.spec
    tenant.knownIn = epoch
    if (record && record.state !== 'stopped' && !goesOn) {
      tenant.generation++
      await this.#host.lives.takeOver(tenant, record.ref, record.startedAt)
    }
    const to = record?.state ?? 'absent'
    if (tenant.state !== to) tenant.transition(to, reason)
  }

  /** The life the pool knew is over, however it ended. */
  async #bury(tenant: Tenant, life: Life, record: BoxRecord | undefined): Promise<void> {
    const exit = await this.exitOf(record?.ref, record?.exit)
    const reason = exit.oom ? 'oom' : 'exited'
    tenant.noteFailure(life, exit)
    tenant.endLife(reason, exit)
    if (isLive(tenant.state)) tenant.transition('stopped', reason, exit)
    this.#host.lives.ended(tenant)
  }

  /** How a life ended, with the last it said. */
  async exitOf(box: BoxRef | undefined, exit: BoxExit | undefined): Promise<Exit> {
    const { clock, driver } = this.#host
    const lastLogs = box ? await lastLines(clock, (request, call) => driver.logs(box, request, call)) : []
    return { ...(exit?.code === undefined ? {} : { code: exit.code }), oom: exit?.oom ?? false, lastLogs }
  }
}
