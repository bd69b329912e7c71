import type { BoxState } from './lifecycle.js'
import type { Runtime } from './runtime.js'
import type { Tenant } from './tenant.js'

/** A tenant as the pool knows it. */
export interface TenantInfo {
  tenant: string
  /** The name of its folder in `dataDir`, and part of its box's name. */
  slug: string
  state: BoxState
  /** Which life of the box: grows at every start. */
  generation: number
  leases: number
  /** Milliseconds since the epoch. */
  lastActivity: number
  /** When the next idle tier is due, in milliseconds since the epoch. */
  dueAt?: number
  /** Whether the box is known to be of an older spec: looked at when the pool starts, at a wake and by `refresh`. */
  drifted: boolean
  workspaceDir: string
}

/** The pool as a whole: what a health check or a metric asks for. */
export interface PoolStats {
  /** Whether the pool can serve: open, engine up, lock held. */
  ok: boolean
  engine: 'up' | 'down'
  lock: 'held' | 'waiting' | 'lost'
  /** Tenants. */
  known: number
  /** Boxes that run, or are on their way up or down. */
  running: number
  paused: number
  /** Boxes that somebody leases. */
  leased: number
  /** Wakes that wait for room. */
  queued: number
}

export function infoOf(tenant: Tenant, runtime: Runtime): TenantInfo {
  const now = runtime.clock.now()
  const dueIn = runtime.reaper.dueIn(tenant)
  return {
    tenant: tenant.id,
    slug: tenant.slug,
    state: tenant.state,
    generation: tenant.generation,
    leases: tenant.leases,
    lastActivity: tenant.wanted ? now : now - (runtime.clock.monotonic() - tenant.lastActive),
    ...(dueIn === undefined ? {} : { dueAt: now + dueIn }),
    drifted: tenant.drifted,
    workspaceDir: runtime.workspaceOf(tenant.slug),
  }
}
