import { ActivityLog } from './activity.js'
import { Admission, type Eviction } from './admission.js'
import { Adoption } from './adoption.js'
import type { Clock } from './clock.js'
import type { Disk } from './disk/disk.js'
import { DiskWatch } from './disk/watch.js'
import type { BoxRecord, BoxRef, Driver, DriverEvent, DriverReport } from './driver.js'
import { EngineConnection } from './engine.js'
import type { GatewaySockets } from './gateway-socket.js'
import { slugOf } from './identity.js'
import { Launcher } from './launch.js'
import type { LeaseOutcome } from './lease.js'
import { Leasing } from './leasing.js'
import { isLive, type PoolEvents } from './lifecycle.js'
import type { MailboxFolders, MailboxSeat } from './mailbox/pool-access.js'
import type { ResolvedIdle, ResolvedOptions, Settings } from './options.js'
import { BoxPlanner } from './plan.js'
import type { PoolEmitter } from './pool-events.js'
import type { PoolLock } from './pool-lock.js'
import { isBusy } from './readiness.js'
import { Reaper } from './reaper.js'
import { Reconciler } from './reconcile.js'
import { putAway } from './shutdown.js'
import { Sleeper } from './sleep.js'
import { type BoxLease, type Life, Tenant, type TenantHost } from './tenant.js'
import type { TenantBox } from './tenant-box.js'
import type { Stray, TenantDirs } from './tenant-dirs.js'
import { toMessage } from './text.js'
import { openTransport } from './transport.js'
import { Waker } from './wake.js'

/** What `start` has opened and a runtime runs on. */
export interface Opened {
  readonly options: ResolvedOptions
  /** Replaced by `pool.update`. */
  readonly current: { settings: Settings }
  readonly events: PoolEmitter
  readonly gateway: GatewaySockets
  readonly mailbox: MailboxSeat
  readonly dirs: TenantDirs
  /** Where the disk limit is kept by something made before; undefined: it is watched. */
  readonly disk: Disk | undefined
  readonly lock: PoolLock
  readonly report: DriverReport
}

/**
 * An open pool at work: its tenants, and the collaborators that wake them, put them to sleep and keep what is known of
 * them true. Each collaborator sees this only through the narrow interface that it declares.
 */
export class Runtime implements TenantHost, MailboxFolders {
  readonly clock: Clock
  readonly driver: Driver
  readonly onDrift: ResolvedOptions['onDrift']
  readonly dirs: TenantDirs
  readonly report: DriverReport

  readonly engine: EngineConnection
  readonly reconciler: Reconciler
  readonly admission: Admission
  readonly planner: BoxPlanner
  readonly launcher: Launcher
  readonly adoption: Adoption
  readonly waker: Waker
  readonly sleeper: Sleeper
  readonly leasing: Leasing
  readonly reaper: Reaper
  readonly disk: Disk

  readonly #opened: Opened
  readonly #events: PoolEmitter
  readonly #activity: ActivityLog
  readonly #tenants = new Map<string, Tenant>()
  #adopted: number | undefined

  constructor(opened: Opened) {
    const { options } = opened
    this.#opened = opened
    this.#events = opened.events
    this.clock = options.clock
    this.driver = options.driver
    this.onDrift = options.onDrift
    this.dirs = opened.dirs
    this.report = opened.report
    this.engine = new EngineConnection(this.driver, this)
    this.reconciler = new Reconciler(this)
    this.admission = new Admission(this)
    this.planner = new BoxPlanner(this)
    this.launcher = new Launcher(this)
    this.adoption = new Adoption(this)
    this.waker = new Waker(this)
    this.sleeper = new Sleeper(this)
    this.reaper = new Reaper(this)
    this.leasing = new Leasing(this)
    this.disk = opened.disk ?? new DiskWatch(this)
    this.#activity = new ActivityLog(this)
  }

  get settings(): Settings {
    return this.#opened.current.settings
  }

  get capacity(): Settings['capacity'] {
    return this.settings.capacity
  }

  get leaseMs(): number | false {
    return this.settings.timeouts.lease
  }

  get stopGraceMs(): number {
    return this.settings.box.stopGraceMs
  }

  get epoch(): number {
    return this.engine.epoch
  }

  /** Connects to the engine and takes over what there is; resolves with the number of boxes adopted. */
  async open(signal?: AbortSignal): Promise<number> {
    await this.engine.open(signal)
    if (this.#adopted) void this.launcher.markDrifted(this.known())
    return this.#adopted ?? 0
  }

  // ---- tenants

  known(): Iterable<Tenant> {
    return this.#tenants.values()
  }

  find(id: string): Tenant | undefined {
    return this.#tenants.get(id)
  }

  /** @throws TenantBoxError `INVALID_TENANT` */
  get(id: string): Tenant {
    return this.#tenants.get(id) ?? this.meet(id, slugOf(id), 0)
  }

  meet(id: string, slug: string, idleMs: number): Tenant {
    const tenant = new Tenant(id, slug, this.clock.monotonic() - idleMs, this)
    // A new tenant is known as well as the engine was listed; before that, nothing is.
    if (this.#adopted !== undefined) tenant.knownIn = this.engine.state === 'up' ? this.engine.epoch : -1
    this.#tenants.set(id, tenant)
    return tenant
  }

  /** Folders that are no tenant's. */
  strays(): Promise<Stray[]> {
    const slugs = new Set([...this.known()].map(({ slug }) => slug))
    return this.dirs.strays((slug) => slugs.has(slug))
  }

  /** Moves a tenant's files away, under its lock, and begins to delete them: whoever comes now begins anew. */
  async discard(tenant: Tenant): Promise<{ deletion: Promise<string[]> | undefined }> {
    await this.disk.release(tenant)
    const trashed = await this.#opened.mailbox.discard(tenant.id, () => this.dirs.discard(tenant.slug))
    return { deletion: trashed === undefined ? undefined : this.dirs.trash.delete(trashed) }
  }

  /** Forgets a tenant whose files are gone, once nothing goes on, and unless somebody has come to want it meanwhile. */
  forget(tenant: Tenant, generation = tenant.generation): void {
    if (tenant.wanted || tenant.flight || tenant.gate) return
    if (tenant.state !== 'absent' || tenant.generation !== generation) return
    // Two of one tenant would each have a lock of its own.
    if (tenant.serial.busy)
      return void tenant.serial.run(async () => undefined).then(() => this.forget(tenant, generation))
    this.reaper.drop(tenant)
    this.#tenants.delete(tenant.id)
  }

  idleOf(tenant: Tenant): ResolvedIdle {
    return typeof tenant.idle === 'string' ? this.settings.idle : tenant.idle
  }

  workspaceOf(slug: string): string {
    return this.dirs.folders(slug).workspace
  }

  mailboxOf(tenant: string): string {
    return this.dirs.folders(slugOf(tenant)).mailbox
  }

  async ensureFolder(tenant: string): Promise<void> {
    const { id, slug } = this.get(tenant)
    await this.dirs.ensure(id, slug, undefined)
  }

  noteActivity(tenant: Tenant): void {
    if (tenant.life) tenant.life.busySince = undefined
    this.reaper.touch(tenant)
    this.#activity.note(tenant)
  }

  /** Puts a tenant where it belongs once nothing is under way, and clears up what is in doubt about it. */
  settle(tenant: Tenant): void {
    this.place(tenant)
    const underWay = tenant.flight !== undefined || tenant.serial.busy
    // An engine that is away is asked about everybody when it is back.
    if (tenant.inDoubt && !underWay && this.engine.state === 'up') void this.adoption.recheck(tenant)
  }

  /** In the idle lists, and in or out of its slot. */
  place(tenant: Tenant): void {
    this.reaper.track(tenant)
    this.admission.settle(tenant)
    this.disk.settled(tenant)
  }

  leaseEnded(lease: BoxLease, outcome: LeaseOutcome, ms: number): void {
    this.leasing.leaseEnded(lease, outcome, ms)
  }

  // ---- lives

  async listen(tenant: Tenant): Promise<void> {
    await this.#opened.gateway.open(tenant.id, this.dirs.folders(tenant.slug).gateway)
  }

  beginLife(tenant: Tenant, box: BoxRef, startedAt: number): Life {
    const { connect, firstByte, silence } = this.settings.timeouts
    const transport = openTransport({
      tenant: tenant.id,
      dial: (signal) => this.driver.dial(box, { signal }),
      timeouts: { connect, firstByte, silence },
      clock: this.clock,
    })
    return tenant.beginLife(box, startedAt, transport)
  }

  async takeOver(tenant: Tenant, box: BoxRef, startedAt: number): Promise<void> {
    try {
      await this.listen(tenant)
    } catch (cause) {
      // It lives all the same, and must be known to.
      this.warn(
        'GATEWAY_CLOSED',
        `The box of tenant ${JSON.stringify(tenant.id)} was taken over, but cannot reach the gateway before its next start: ${toMessage(cause)}`,
        { tenant: tenant.id, cause },
      )
    }
    this.beginLife(tenant, box, startedAt)
  }

  ended(tenant: Tenant): void {
    void this.#opened.gateway.close(tenant.id)
  }

  putDown(tenant: Tenant, reason: 'unhealthy' | 'requested'): Promise<void> {
    return this.sleeper.putDown(tenant, reason)
  }

  observer(life: Life): TenantBox {
    return this.leasing.observer(life)
  }

  isBusy(life: Life, signal: AbortSignal): Promise<boolean> {
    return isBusy((path, init) => life.transport.fetch(path, init), signal)
  }

  whenIdle(tenant: Tenant): Promise<'slept' | 'vetoed' | 'not due'> {
    return this.sleeper.whenIdle(tenant)
  }

  async evict(tenant: Tenant): Promise<Eviction> {
    try {
      return await this.sleeper.evict(tenant)
    } catch (cause) {
      this.warn(
        'EVICTION_FAILED',
        `Tenant ${JSON.stringify(tenant.id)}'s box could not be stopped to make room.`,
        {
          tenant: tenant.id,
          cause,
        },
      )
      return 'kept'
    } finally {
      this.settle(tenant)
    }
  }

  // ---- the engine

  happened(event: DriverEvent): void {
    this.adoption.happened(event)
  }

  async listed(records: readonly BoxRecord[]): Promise<void> {
    if (this.#adopted === undefined) this.#adopted = await this.adoption.begin(records)
    else await this.adoption.compare(records)
  }

  // ---- events

  transitioned(event: PoolEvents['transition']): void {
    this.#events.emit('transition', event)
  }

  ready(event: PoolEvents['ready']): void {
    this.#events.emit('ready', event)
  }

  released(event: PoolEvents['lease']): void {
    this.#events.emit('lease', event)
  }

  quota(event: PoolEvents['quota']): void {
    this.#events.emit('quota', event)
  }

  pulling(event: PoolEvents['pull']): void {
    this.#events.emit('pull', event)
  }

  queued(event: PoolEvents['queue']): void {
    this.#events.emit('queue', event)
  }

  engineChanged(event: PoolEvents['engine']): void {
    this.#events.emit('engine', event)
  }

  warn(code: string, message: string, about: { tenant?: string | undefined; cause?: unknown }): void {
    this.#events.warn(code, message, about)
  }

  /** `pool.update` has changed the settings. */
  settingsChanged(): void {
    this.launcher.forgive()
    this.admission.update()
    for (const tenant of this.known()) {
      tenant.idle = 'unasked'
      this.settle(tenant)
    }
  }

  /** Asks for the tenant's present spec and compares; under its lock. */
  hasDrifted(tenant: Tenant, signal: AbortSignal): Promise<boolean> {
    return tenant.serial.run(async () => {
      await this.reconciler.refresh(tenant, signal)
      return this.launcher.hasDrifted(tenant, signal)
    })
  }

  // ---- the end

  write(tenant: Tenant, at: number): Promise<void> {
    return this.dirs.markActivity(tenant.slug, at)
  }

  /** Ends what is under way, puts the boxes where they are to be left, and lets go of everything. */
  async close(reason: Error, boxes: 'keep' | 'stop' | 'remove', drainMs: number): Promise<void> {
    this.leasing.close(reason)
    this.reaper.close()
    this.sleeper.close(reason)
    this.admission.close()
    try {
      await this.disk.quiesce()
      await putAway(this, reason, boxes, drainMs)
      await this.engine.close(reason)
      // What the last events set off is brought to its end while there is a driver to ask.
      await Promise.all([...this.known()].map((tenant) => tenant.serial.run(async () => undefined)))
      await this.#opened.gateway.closeAll()
      await Promise.all([...this.known()].map(({ life }) => life?.transport.close(reason)))
      await this.#activity.close()
      await this.driver.close()
      await this.disk.close()
      await this.dirs.trash.close(reason)
    } finally {
      // Whatever went wrong before, the next owner must be able to take over.
      await this.#opened.lock.release()
    }
  }

  counts(): { known: number; running: number; paused: number; leased: number; queued: number } {
    const counts = {
      known: this.#tenants.size,
      running: 0,
      paused: 0,
      leased: 0,
      queued: this.admission.waiting,
    }
    for (const tenant of this.known()) {
      if (tenant.state === 'paused') counts.paused++
      else if (isLive(tenant.state)) counts.running++
      if (tenant.leases > 0) counts.leased++
    }
    return counts
  }
}
