import { onAbort } from './abort.js'
import type { CancelTimer, Clock } from './clock.js'
import { TenantBoxError } from './errors.js'
import type { PoolEvents } from './lifecycle.js'
import { type CallLimits, timedOut } from './wait.js'

export type LeaseOutcome = PoolEvents['lease']['outcome']

/** `use` is activity; `look` is the idle veto's, which must not keep the box awake by asking. */
export type LeaseKind = 'use' | 'look'

/** What a lease is on. */
export interface Leasable {
  readonly tenantId: string
  readonly generation: number
  readonly leases: { add(lease: unknown): unknown; delete(lease: unknown): boolean }
}

/** What a lease needs of the pool. */
export interface LeaseHost<L extends Leasable> {
  readonly clock: Clock
  /** Longest life of a lease in milliseconds. */
  readonly leaseMs: number | false
  leaseEnded(lease: HeldLease<L>, outcome: LeaseOutcome, ms: number): void
}

/**
 * One promise that a life is not put to sleep. Its signal aborts when the promise ends before its holder says so: the
 * life ended, the lease expired, or the caller gave up.
 */
export class HeldLease<L extends Leasable> {
  readonly life: L
  readonly kind: LeaseKind
  readonly #host: LeaseHost<L>
  readonly #controller = new AbortController()
  readonly #since: number
  readonly #undo: (() => void)[] = []
  #outcome: LeaseOutcome | undefined

  constructor(life: L, kind: LeaseKind, host: LeaseHost<L>) {
    this.life = life
    this.kind = kind
    this.#host = host
    this.#since = host.clock.monotonic()
    const { leaseMs } = host
    if (leaseMs !== false) this.#undo.push(this.#expireAfter(leaseMs))
    life.leases.add(this)
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  get held(): boolean {
    return this.#outcome === undefined
  }

  /** Ends this lease when the caller gives up. */
  follow({ signal, timeout }: CallLimits, operation: string): void {
    if (signal) {
      const gaveUp = (): void => this.end('aborted', signal.reason)
      this.#undo.push(onAbort(signal, gaveUp))
    }
    if (timeout !== undefined)
      this.#undo.push(
        this.#host.clock.after(timeout, () =>
          this.end('aborted', timedOut(operation, timeout, this.life.tenantId)),
        ),
      )
    // It may have ended before its holder came to follow it.
    if (!this.held) this.#letGo()
  }

  release(): void {
    this.end('released')
  }

  /** Why an operation under this lease failed: the lease's own end, where that came first. */
  explain(error: unknown): unknown {
    return this.signal.aborted ? this.signal.reason : error
  }

  /** Idempotent. Without a reason the signal stays quiet: the holder itself is done. */
  end(outcome: LeaseOutcome, reason?: unknown): void {
    if (this.#outcome !== undefined) return
    this.#outcome = outcome
    this.#letGo()
    this.life.leases.delete(this)
    if (reason !== undefined) this.#controller.abort(reason)
    this.#host.leaseEnded(this, outcome, this.#host.clock.monotonic() - this.#since)
  }

  #letGo(): void {
    for (const undo of this.#undo.splice(0)) undo()
  }

  #expireAfter(ms: number): CancelTimer {
    const { tenantId } = this.life
    const expire = (): void =>
      this.end(
        'expired',
        new TenantBoxError(
          'LEASE_EXPIRED',
          `A lease on tenant ${JSON.stringify(tenantId)} was held for ${ms} ms, the most that timeouts.lease allows. Release leases sooner, or allow longer ones.`,
          { afterMs: ms },
          { tenant: tenantId },
        ),
      )
    return this.#host.clock.after(ms, expire, { background: true })
  }
}
