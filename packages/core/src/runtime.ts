import { ActivityLog } from './activity.js'
import { Admission, type Eviction } from './admission.js'
import { Adoption } from './adoption.js'
import type { Clock } from './clock.js'
import type { Disk } from './disk/disk.js'
import { DiskWatch } from './disk/watch.js'
import type { BoxRecord, Driver, DriverEvent, DriverReport } from './driver.js'
import { EngineConnection } from './engine.js'
import type { GatewaySockets } from './gateway-socket.js'
import { slugOf } from './identity.js'
import { Launcher } from './launch.js'
import type { LeaseOutcome } from './lease.js'
import { Leasing } from './leasing.js'
import type { PoolEvents } from './lifecycle.js'
import { Lives } from './lives.js'
import type { MailboxFolders, MailboxSeat } from './mailbox/pool-access.js'
import type { ResolvedIdle, ResolvedOptions, Settings } from './options.js'
import { BoxPlanner } from './plan.js'
import type { PoolEmitter } from './pool-events.js'
import type { PoolLock } from './pool-lock.js'
import { isBusy } from './readiness.js'
import { Reaper } from './reaper.js'
import { Reconciler } from './reconcile.js'
import { endAll, putAway } from './shutdown.js'
import { Sleeper } from './sleep.js'
import type { BoxLease, Life, Tenant, TenantHost } from './tenant.js'
import type { TenantBox } from './tenant-box.js'
import type { Stray, TenantDirs } from './tenant-dirs.js'
import { Tenants } from './tenants.js'
import { Waker } from './wake.js'
import type { WarningCode } from './warnings.js'

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
  readonly gateway: GatewaySockets
  readonly report: DriverReport

  readonly tenants: Tenants
  readonly lives: Lives
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
  #adopted: number | undefined

  constructor(opened: Opened) {
    const { options } = opened
    this.#opened = opened
    this.#events = opened.events
    this.clock = options.clock
    this.driver = options.driver
    this.onDrift = options.onDrift
    this.dirs = opened.dirs
    this.gateway = opened.gateway
    this.report = opened.report
    this.tenants = new Tenants(this)
    this.lives = new Lives(this)
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

  get epoch(): number {
    return this.engine.epoch
  }

  get listedIn(): number {
    return this.#adopted !== undefined && this.engine.state === 'up' ? this.engine.epoch : -1
  }

  /** Connects to the engine and takes over what there is; resolves with the number of boxes adopted. */
  async open(signal?: AbortSignal): Promise<number> {
    await this.engine.open(signal)
    if (this.#adopted) void this.launcher.markDrifted(this.tenants.known())
    return this.#adopted ?? 0
  }

  // ---- tenants and their folders

  /** Every tenant, for the mailbox. */
  known(): Iterable<Tenant> {
    return this.tenants.known()
  }

  /** Folders that are no tenant's. */
  strays(): Promise<Stray[]> {
    const slugs = new Set([...this.tenants.known()].map(({ slug }) => slug))
    return this.dirs.strays((slug) => slugs.has(slug))
  }

  /** Moves a tenant's files away, under its lock, and begins to delete them: whoever comes now begins anew. */
  async discard(tenant: Tenant): Promise<{ deletion: Promise<string[]> | undefined }> {
    await this.disk.release(tenant)
    const trashed = await this.#opened.mailbox.discard(tenant.id, () => this.dirs.discard(tenant.slug))
    return { deletion: trashed === undefined ? undefined : this.dirs.trash.delete(trashed) }
  }

  idleOf(tenant: Tenant): ResolvedIdle {
    return typeof tenant.idle === 'string' ? this.settings.idle : tenant.idle
  }

  stopGraceOf({ upkeep }: Tenant): number {
    return (typeof upkeep === 'string' ? this.settings.box : upkeep).stopGraceMs
  }

  workspaceOf(slug: string): string {
    return this.dirs.folders(slug).workspace
  }

  mailboxOf(tenant: string): string {
    return this.dirs.folders(slugOf(tenant)).mailbox
  }

  async ensureFolder(tenant: string): Promise<void> {
    const { id, slug } = this.tenants.get(tenant)
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

  warn(code: WarningCode, message: string, about: { tenant?: string | undefined; cause?: unknown }): void {
    this.#events.warn(code, message, about)
  }

  /** `pool.update` has changed the settings. */
  settingsChanged(): void {
    this.launcher.forgive()
    this.admission.update()
    for (const tenant of this.tenants.known()) {
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
    await endAll([
      () => this.disk.quiesce(),
      () => putAway(this, reason, boxes, drainMs),
      () => this.engine.close(reason),
      // What the last events set off is brought to its end while there is a driver to ask.
      () => Promise.all([...this.tenants.known()].map((tenant) => tenant.serial.run(async () => undefined))),
      () => this.gateway.closeAll(),
      () => Promise.all([...this.tenants.known()].map(({ life }) => life?.transport.close(reason))),
      () => this.#activity.close(),
      () => this.driver.close(),
      () => this.disk.close(),
      () => this.dirs.trash.close(reason),
      // The next owner must be able to take over.
      () => this.#opened.lock.release(),
    ])
  }

  counts(): { known: number; running: number; paused: number; leased: number; queued: number } {
    return { ...this.tenants.counts(), queued: this.admission.waiting }
  }
}
