import type { Clock } from './clock.js'
import { IdleQueue, nextTierAfter } from './idle.js'
import type { ResolvedIdle } from './options.js'
import type { Tenant } from './tenant.js'
import { toMessage } from './text.js'
import type { WarningCode } from './warnings.js'

/** When a tier that failed is tried again. */
const RETRY_MS = 15_000

/** What reaping needs of the pool. */
export interface ReapHost {
  readonly clock: Clock
  idleOf(tenant: Tenant): ResolvedIdle
  whenIdle(tenant: Tenant): Promise<'slept' | 'vetoed' | 'not due'>
  warn(code: WarningCode, message: string, about: { tenant: string; cause?: unknown }): void
}

/**
 * Applies idle tiers, each exactly when it is due: one timer that sleeps until the first deadline. Tenants that somebody
 * wants are in no list.
 */
export class Reaper {
  readonly #host: ReapHost
  readonly #queue = new IdleQueue<Tenant>()
  /** Asked whether they sleep now; until that is answered they are not asked again. */
  readonly #underWay = new Set<Tenant>()
  #armedFor: number | undefined
  #cancel: (() => void) | undefined
  #closed = false

  constructor(host: ReapHost) {
    this.#host = host
  }

  /** O(1). A tenant in no list only remembers when it was active. */
  touch(tenant: Tenant): void {
    this.#queue.touch(tenant, this.#host.clock.monotonic())
  }

  /** Puts the tenant where it belongs now. Idempotent. */
  track(tenant: Tenant): void {
    const busy =
      tenant.wanted || tenant.flight !== undefined || tenant.gate !== undefined || this.#underWay.has(tenant)
    const after = busy ? undefined : nextTierAfter(tenant.state, this.#host.idleOf(tenant))
    this.#queue.delete(tenant)
    if (after === undefined) return
    this.#queue.add(tenant, after)
    this.#arm(tenant.lastActive + after)
  }

  drop(tenant: Tenant): void {
    this.#queue.delete(tenant)
  }

  /** Milliseconds until this tenant's next tier; undefined when there is none. */
  dueIn(tenant: Tenant): number | undefined {
    const after = tenant.idleLink && nextTierAfter(tenant.state, this.#host.idleOf(tenant))
    return after === undefined
      ? undefined
      : Math.max(0, tenant.lastActive + after - this.#host.clock.monotonic())
  }

  /** Applies what is due now. */
  async reap(): Promise<void> {
    const due = this.#queue.takeDue(this.#host.clock.monotonic())
    // The next ones do not wait for these.
    this.#armForFirst()
    if (due.length > 0) await Promise.all(due.map((tenant) => this.#reapOne(tenant)))
  }

  close(): void {
    this.#closed = true
    this.#cancel?.()
  }

  async #reapOne(tenant: Tenant): Promise<void> {
    this.#underWay.add(tenant)
    try {
      // One that was vetoed has another whole round.
      if ((await this.#host.whenIdle(tenant)) === 'vetoed') this.touch(tenant)
      this.#underWay.delete(tenant)
      this.track(tenant)
    } catch (cause) {
      this.#underWay.delete(tenant)
      this.#host.warn(
        'REAP_FAILED',
        `Tenant ${JSON.stringify(tenant.id)}'s idle box could not be put to sleep: ${toMessage(cause)}`,
        {
          tenant: tenant.id,
          cause,
        },
      )
      const idleMs = this.#host.clock.monotonic() - tenant.lastActive
      this.#queue.add(tenant, idleMs + RETRY_MS)
      this.#armForFirst()
    }
  }

  #armForFirst(): void {
    const first = this.#queue.nextDeadline()
    if (first !== undefined) this.#arm(first)
  }

  #arm(at: number): void {
    if (this.#closed || (this.#armedFor !== undefined && this.#armedFor <= at)) return
    this.#cancel?.()
    this.#armedFor = at
    const ms = Math.max(0, at - this.#host.clock.monotonic())
    this.#cancel = this.#host.clock.after(
      // A timer may fire a little early; due is due.
      Math.ceil(ms),
      () => {
        this.#armedFor = undefined
        void this.reap()
      },
      { background: true },
    )
  }
}
