import type { BoxState } from './lifecycle.js'
import type { Runtime } from './runtime.js'
import type { Tenant } from './tenant.js'

export interface TenantInfo {
  tenant: string
  slug: string
  state: BoxState
  generation: number
  leases: number
  /** Milliseconds since the epoch. */
  lastActivity: number
  /** When the next idle tier is due, in milliseconds since the epoch. */
  dueAt?: number
  /** Whether the box was made from an older spec. */
  drifted: boolean
  workspaceDir: string
}

export interface PoolStats {
  /** Whether the pool can serve: open, engine up, lock held. */
  ok: boolean
  engine: 'up' | 'down'
  lock: 'held' | 'waiting' | 'lost'
  known: number
  running: number
  paused: number
  leased: number
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
