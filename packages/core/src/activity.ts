import type { Clock } from './clock.js'
import type { Tenant } from './tenant.js'
import type { WarningCode } from './warnings.js'

/** How late an activity may reach the disk; with the writing itself it stays below the promised five seconds. */
const FLUSH_MS = 3_000

/** What noting activity needs of the pool. */
export interface ActivityHost {
  readonly clock: Clock
  /** Writes a tenant's last activity, in milliseconds since the epoch, where the next process finds it. */
  write(tenant: Tenant, at: number): Promise<void>
  warn(code: WarningCode, message: string, about: { tenant: string; cause?: unknown }): void
}

/** Keeps the last activities on disk, a few seconds late and in bulk: noting one costs next to nothing. */
export class ActivityLog {
  readonly #host: ActivityHost
  #changed = new Set<Tenant>()
  #cancel: (() => void) | undefined

  constructor(host: ActivityHost) {
    this.#host = host
  }

  note(tenant: Tenant): void {
    this.#changed.add(tenant)
    this.#cancel ??= this.#host.clock.after(FLUSH_MS, () => void this.flush(), { background: true })
  }

  /** Writes what has changed. Those still wanted are active now, and are written again next time. */
  async flush(): Promise<void> {
    this.#cancel?.()
    this.#cancel = undefined
    const changed = this.#changed
    this.#changed = new Set()
    for (const tenant of changed) if (tenant.wanted) this.note(tenant)
    await Promise.all([...changed].map((tenant) => this.#write(tenant)))
  }

  close(): Promise<void> {
    const flushed = this.flush()
    this.#cancel?.()
    return flushed
  }

  async #write(tenant: Tenant): Promise<void> {
    const { clock } = this.#host
    const idleMs = tenant.wanted ? 0 : clock.monotonic() - tenant.lastActive
    try {
      await this.#host.write(tenant, clock.now() - idleMs)
    } catch (cause) {
      this.#host.warn(
        'ACTIVITY_NOT_SAVED',
        `The last activity of tenant ${JSON.stringify(tenant.id)} could not be saved: after a crash it would count as idle for longer.`,
        { tenant: tenant.id, cause },
      )
    }
  }
}
