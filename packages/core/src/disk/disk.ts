import type { Tenant } from '../tenant.js'

/** How `box.limits.disk` is kept. The pool says when, a strategy knows how. */
export interface Disk {
  /**
   * Makes the tenant's folders fit for a start under `limit`, in bytes; undefined: no limit. Under the tenant's lock,
   * before its box is made or started.
   *
   * @throws TenantBoxError `OVER_QUOTA`
   */
  prepare(tenant: Tenant, limit: number | undefined, signal: AbortSignal): Promise<void>
  /** Nothing is under way at this tenant any more: it runs or sleeps, or a lease has ended. Called often: costs nothing. */
  settled(tenant: Tenant): void
  /** The tenant's folders are about to be moved away. Under the tenant's lock, without a box. */
  release(tenant: Tenant): Promise<void>
  /** From now on nothing is begun any more: the pool closes. What is under way is given up. */
  quiesce(): Promise<void>
  /** Lets go of the folders: nothing of this process uses them any more. */
  close(): Promise<void>
}
