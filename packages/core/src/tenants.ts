import { slugOf } from './identity.js'
import { isLive } from './lifecycle.js'
import { Tenant, type TenantHost } from './tenant.js'

/** What knowing tenants needs of the pool. */
export interface TenantsHost extends TenantHost {
  readonly reaper: { drop(tenant: Tenant): void }
  /** The engine's epoch in which it is known what there is at the engine; -1 while that is not known. */
  readonly listedIn: number
}

/** The tenants that the pool knows, by id: each is one `Tenant`, and so has one lock. */
export class Tenants {
  readonly #host: TenantsHost
  readonly #byId = new Map<string, Tenant>()

  constructor(host: TenantsHost) {
    this.#host = host
  }

  known(): Iterable<Tenant> {
    return this.#byId.values()
  }

  find(id: string): Tenant | undefined {
    return this.#byId.get(id)
  }

  /** @throws TenantBoxError `INVALID_TENANT` */
  get(id: string): Tenant {
    return this.#byId.get(id) ?? this.meet(id, slugOf(id), 0)
  }

  /** One met for the first time, last active so many milliseconds ago. */
  meet(id: string, slug: string, idleMs: number): Tenant {
    const tenant = new Tenant(id, slug, this.#host.clock.monotonic() - idleMs, this.#host)
    // A new tenant is known as well as the engine was listed.
    tenant.knownIn = this.#host.listedIn
    this.#byId.set(id, tenant)
    return tenant
  }

  /** Forgets a tenant whose files are gone, once nothing goes on, and unless somebody has come to want it meanwhile. */
  forget(tenant: Tenant, generation = tenant.generation): void {
    if (tenant.wanted || tenant.flight || tenant.gate) return
    if (tenant.state !== 'absent' || tenant.generation !== generation) return
    // Two of one tenant would each have a lock of its own.
    if (tenant.serial.busy)
      return void tenant.serial.run(async () => undefined).then(() => this.forget(tenant, generation))
    this.#host.reaper.drop(tenant)
    this.#byId.delete(tenant.id)
  }

  counts(): { known: number; running: number; paused: number; leased: number } {
    const counts = { known: this.#byId.size, running: 0, paused: 0, leased: 0 }
    for (const tenant of this.known()) {
      if (tenant.state === 'paused') counts.paused++
      else if (isLive(tenant.state)) counts.running++
      if (tenant.leases > 0) counts.leased++
    }
    return counts
  }
}
