import type { Upkeep } from './box-spec.js'
import type { Clock } from './clock.js'
import { STABLE_MS } from './crash-loop.js'
import type { BoxRef } from './driver.js'
import { TenantBoxError } from './errors.js'
import type { IdleEntry } from './idle.js'
import { HeldLease, type Leasable, type LeaseHost, type LeaseKind } from './lease.js'
import {
  type BoxState,
  type DownReason,
  type Exit,
  isLegal,
  type PoolEvents,
  type TransitionReason,
} from './lifecycle.js'
import type { ResolvedIdle } from './options.js'
import { Serial } from './serial.js'
import type { SharedFlight } from './shared-flight.js'
import type { TenantBox } from './tenant-box.js'
import type { Transport } from './transport.js'

/** A lease on a life of a tenant's box. */
export type BoxLease = HeldLease<Life>

/** What a tenant needs of the pool. */
export interface TenantHost extends LeaseHost<Life> {
  readonly clock: Clock
  /** Of the engine connection: a new one begins with every outage. */
  readonly epoch: number
  transitioned(event: PoolEvents['transition']): void
}

export interface LifeEnd {
  readonly reason: DownReason
  readonly exit: Exit | undefined
}

/** From one start of a box to its end. Handles and leases hold on to a life, never to a tenant: they cannot outlive it. */
export class Life implements Leasable {
  readonly tenant: Tenant
  readonly box: BoxRef
  readonly generation: number
  /**
   * The engine's own time of the start; with the box's id it tells this life from any other. 0 as long as the engine does
   * not tell.
   */
  startedAt: number
  readonly transport: Transport
  /** The engine connection's, when it began. */
  readonly epoch: number
  /** Monotonic milliseconds. */
  readonly since: number
  readonly leases = new Set<BoxLease>()
  /** Whether this process has seen it ready; a box taken over from an earlier one has yet to show it. */
  ready = false
  /** Deadlines that the agent has missed in a row. */
  missed = 0
  /** Since when its agent says that it is busy, with nobody using the box; monotonic milliseconds. */
  busySince: number | undefined
  /** The handle that callers without a lease share. */
  handle: TenantBox | undefined
  #end: LifeEnd | undefined

  constructor(
    tenant: Tenant,
    box: BoxRef,
    startedAt: number,
    transport: Transport,
    { epoch, since }: Pick<Life, 'epoch' | 'since'>,
  ) {
    this.tenant = tenant
    this.box = box
    this.generation = tenant.generation
    this.startedAt = startedAt
    this.transport = transport
    this.epoch = epoch
    this.since = since
  }

  get tenantId(): string {
    return this.tenant.id
  }

  get end(): LifeEnd | undefined {
    return this.#end
  }

  /** Idempotent; aborts what leases there are. */
  finish(end: LifeEnd): void {
    if (this.#end) return
    this.#end = end
    const outcome = end.exit ? 'died' : 'aborted'
    for (const lease of [...this.leases]) lease.end(outcome, this.staleError())
    void this.transport.close(this.staleError())
  }

  staleError(): TenantBoxError<'STALE_BOX'> {
    const { reason, exit } = this.#end ?? { reason: 'requested', exit: undefined }
    return new TenantBoxError(
      'STALE_BOX',
      `This life of tenant ${JSON.stringify(this.tenant.id)}'s box has ended (${reason}). Get a new one with ensure, use or send.`,
      { generation: this.generation, reason, ...(exit ? { exit } : {}) },
      { tenant: this.tenant.id },
    )
  }
}

/** One tenant: where its box is in its life cycle, who needs it, and the lock that keeps its transitions serial. */
export class Tenant implements IdleEntry {
  readonly id: string
  readonly slug: string
  readonly #host: TenantHost
  readonly #awaitingQuiet = new Set<() => void>()
  #state: BoxState = 'absent'
  #since: number

  /** Only one transition at a time; taken by wakes, sleeps and reconciliations. */
  readonly serial = new Serial()
  /** The wake under way, joined by every caller. */
  flight: SharedFlight<void> | undefined
  /** Callers that wait for a wake: as good as leases for whoever wants to put the box to sleep. */
  demand = 0
  /** Set while somebody waits for the leases to end, or takes the box down for another's; new callers queue behind it. */
  gate: Promise<void> | undefined

  /** Called when something happens to the box while it comes up. */
  onEvent: (() => void) | undefined

  /** The box at the engine, once there is one. */
  box: BoxRef | undefined
  /** The drift hash that box was made with. */
  spec: string | undefined
  drifted = false
  life: Life | undefined
  generation = 0
  /** The engine connection's epoch in which all this was last true; in a later one the engine must be asked first. */
  knownIn = -1

  /** How its box is probed and stopped, where that is not the pool's way; `unasked` before this process has heard of it. */
  upkeep: Upkeep | 'pool' | 'unasked' = 'unasked'
  /** Its own idle tiers, or the pool's; `unasked` before this process has heard what `perTenant` says. */
  idle: ResolvedIdle | 'pool' | 'unasked' = 'unasked'
  /** Set when somebody asked for a rebuild whatever the pool's way with drift is. */
  rebuildAsked = false
  /** Starts and short lives that failed in a row, and when the last one did. */
  failures = 0
  failedAt = 0
  lastExit: Exit | undefined

  lastActive: number
  idleLink: IdleEntry['idleLink']

  constructor(id: string, slug: string, lastActive: number, host: TenantHost) {
    this.id = id
    this.slug = slug
    this.lastActive = lastActive
    this.#host = host
    this.#since = host.clock.monotonic()
  }

  get state(): BoxState {
    return this.#state
  }

  get leases(): number {
    return this.life?.leases.size ?? 0
  }

  /** Resolves when no lease is left. */
  whenQuiet(): Promise<void> {
    if (this.leases === 0) return Promise.resolve()
    return new Promise((resolve) => this.#awaitingQuiet.add(resolve))
  }

  /** The last lease has ended. */
  quieted(): void {
    for (const resolve of this.#awaitingQuiet) resolve()
    this.#awaitingQuiet.clear()
  }

  /** Whether anybody holds or is about to hold a lease. */
  get wanted(): boolean {
    return this.demand > 0 || this.leases > 0
  }

  /** What is known of it counts no more: the engine must be asked first. */
  doubt(): void {
    this.knownIn = -1
  }

  /** Whether a call that changes its box had no clear answer, and the engine was not asked since: it may well live. */
  get inDoubt(): boolean {
    return this.box !== undefined && this.knownIn === -1
  }

  /** Milliseconds since this life began, as far as this process knows. */
  get uptime(): number {
    return this.life ? this.#host.clock.monotonic() - this.life.since : 0
  }

  /** Takes the box to `to`; one event each. An illegal transition is a bug of ours and throws. */
  transition(to: BoxState, reason: TransitionReason, exit?: Exit): void {
    const from = this.#state
    if (!isLegal(from, to, reason))
      throw new Error(`illegal transition of ${this.slug}: ${from} -> ${to} (${reason})`)
    const now = this.#host.clock.monotonic()
    const ms = now - this.#since
    this.#state = to
    this.#since = now
    this.#host.transitioned({
      tenant: this.id,
      at: this.#host.clock.now(),
      generation: this.generation,
      from,
      to,
      reason,
      ms,
      ...(exit ? { exit } : {}),
    })
  }

  beginLife(box: BoxRef, startedAt: number, transport: Transport): Life {
    const { epoch, clock } = this.#host
    this.life = new Life(this, box, startedAt, transport, { epoch, since: clock.monotonic() })
    return this.life
  }

  /** A life has ended by failing: one failure more in a row, unless it was stable before. */
  noteFailure({ since, epoch }: Life, exit: Exit): void {
    if (this.#host.clock.monotonic() - since >= STABLE_MS) {
      this.lastExit = exit
      this.failures = 0
    } else this.countFailure(epoch, exit)
  }

  /** One failure more in a row, unless the engine was away since `epoch`: the box may well have failed with that. */
  countFailure(epoch: number, exit: Exit): void {
    this.lastExit = exit
    if (epoch !== this.#host.epoch) return
    this.failures++
    this.failedAt = this.#host.clock.monotonic()
  }

  endLife(reason: DownReason, exit?: Exit): void {
    this.life?.finish({ reason, exit })
    this.life = undefined
  }

  /** Synchronous: between the check that the life goes on and the lease nothing can come. @throws `STALE_BOX` */
  lease(life: Life, kind: LeaseKind = 'use'): BoxLease {
    if (life.end) throw life.staleError()
    return new HeldLease(life, kind, this.#host)
  }
}
