import pLimit from 'p-limit'
import type { Clock } from '../clock.js'
import { isTenantBoxError } from '../errors.js'
import { isLive, type PoolEvents } from '../lifecycle.js'
import type { Settings } from '../options.js'
import type { BoxPlanner } from '../plan.js'
import type { Sleeper } from '../sleep.js'
import type { Tenant } from '../tenant.js'
import type { TenantDirs } from '../tenant-dirs.js'
import { toMessage } from '../text.js'
import { deadline } from '../wait.js'
import type { WarningCode } from '../warnings.js'
import type { Disk } from './disk.js'
import { MEASURE_BOUNDS, type Missed, measureTrees } from './measure.js'
import { inAnImage, notCounted, overQuota } from './quota-errors.js'
import { isDue, isNearlyFull, judge, type Verdict } from './verdict.js'

/** How often the space left on the disk is asked for while anything runs, and who is due is looked up. */
const TICK_MS = 1_000
/** How long newcomers queue behind the leases of a box that is to be stopped, until the next measurement. */
const LEASES_MS = 60_000

/** What watching needs of the pool. */
export interface DiskWatchHost {
  readonly clock: Clock
  readonly settings: Settings
  readonly dirs: Pick<TenantDirs, 'folders' | 'hasImage' | 'space'>
  readonly planner: Pick<BoxPlanner, 'diskLimit'>
  readonly sleeper: Pick<Sleeper, 'onRequest'>
  quota(event: PoolEvents['quota']): void
  warn(code: WarningCode, message: string, about: { tenant?: string; cause?: unknown }): void
}

/** What is known of one tenant with a limit. */
interface Usage {
  /** The settings that `limit` is of; others may mean another. */
  settings: Settings | undefined
  limit: number | undefined
  verdict: Verdict
  bytes: number
  missed: Missed | undefined
  measuredAt: number
  tookMs: number
  used: boolean
  /** Counts measurements: the one begun last is the one that counts. */
  turn: number
}

/**
 * Keeps `limits.disk` by measuring: what grows too big is put to sleep once nobody leases it, and not woken until it has
 * shrunk. Nothing stops a box from writing in between: this is for tenants who fill their disk by mistake.
 */
export class DiskWatch implements Disk {
  readonly #host: DiskWatchHost
  readonly #usages = new WeakMap<Tenant, Usage>()
  /** Those with a limit that run, or have run since they were measured. */
  readonly #watched = new Set<Tenant>()
  readonly #oneByOne = pLimit(1)
  readonly #closing = new AbortController()
  readonly #underWay = new Map<Tenant, Promise<void>>()
  #cancelTick: (() => void) | undefined
  #space: 'ample' | 'low' | 'unknown' = 'ample'

  constructor(host: DiskWatchHost) {
    this.#host = host
  }

  async prepare(tenant: Tenant, limit: number | undefined, signal: AbortSignal): Promise<void> {
    if (await this.#host.dirs.hasImage(tenant.slug)) throw inAnImage(tenant)
    // Most pools have no limit, and remember nothing of anybody.
    if (limit === undefined && !this.#mayHaveLimit(tenant)) return
    const usage = this.#usageOf(tenant)
    setLimit(usage, limit, this.#host.settings)
    if (limit === undefined) return
    // Whoever was over may have been made smaller meanwhile, and who is met for the first time may be anything.
    if (usage.verdict !== 'within') await this.#measure(tenant, usage, limit, signal)
    if (usage.verdict === 'over') throw overQuota(tenant, usage, limit)
  }

  settled(tenant: Tenant): void {
    if (!this.#mayHaveLimit(tenant)) this.#watched.delete(tenant)
    else if (tenant.state === 'running') this.#watched.add(tenant)
    if (!this.#watched.has(tenant)) return
    if (tenant.leases === 0) this.#usageOf(tenant).used = true
    if (!this.#closing.signal.aborted) this.#cancelTick ??= this.#tickLater()
  }

  async release(tenant: Tenant): Promise<void> {
    this.#forget(tenant)
  }

  async quiesce(): Promise<void> {
    this.#cancelTick?.()
    this.#closing.abort(new Error('the pool is closing'))
    await Promise.all(this.#underWay.values())
  }

  async close(): Promise<void> {
    // Nothing is held.
  }

  #mayHaveLimit(tenant: Tenant): boolean {
    const { settings } = this.#host
    const usage = this.#usages.get(tenant)
    if (usage?.settings === settings) return usage.limit !== undefined
    return settings.box.limits.disk !== undefined || settings.perTenant !== undefined
  }

  #usageOf(tenant: Tenant): Usage {
    const known = this.#usages.get(tenant)
    if (known) return known
    const usage: Usage = {
      settings: undefined,
      limit: undefined,
      verdict: 'unknown',
      bytes: 0,
      missed: undefined,
      measuredAt: Number.NEGATIVE_INFINITY,
      tookMs: 0,
      used: true,
      turn: 0,
    }
    this.#usages.set(tenant, usage)
    return usage
  }

  #forget(tenant: Tenant): void {
    this.#usages.delete(tenant)
    this.#watched.delete(tenant)
  }

  #tickLater(): () => void {
    return this.#host.clock.after(TICK_MS, () => void this.#tick(), { background: true })
  }

  async #tick(): Promise<void> {
    await this.#lookAtDisk()
    this.#cancelTick = undefined
    if (this.#closing.signal.aborted) return
    const now = this.#host.clock.monotonic()
    for (const tenant of this.#watched)
      if (!this.#underWay.has(tenant) && isDue(this.#usageOf(tenant), now, this.#space === 'low'))
        this.#underWay.set(tenant, this.#inspect(tenant))
    if (this.#watched.size > 0) this.#cancelTick = this.#tickLater()
  }

  /** Notices when the disk gets nearly full, whoever fills it. */
  async #lookAtDisk(): Promise<void> {
    const before = this.#space
    try {
      const { free, total } = await this.#host.dirs.space()
      this.#space = isNearlyFull(free, total, before === 'low') ? 'low' : 'ample'
      if (this.#space === 'low' && before !== 'low')
        this.#host.warn(
          'DISK_LOW',
          `Only ${Math.floor(free / 1024 ** 2)} MiB are left on the disk of dataDir. Every tenant with a disk limit that runs is measured now, and stopped if it is over; if none is, something else fills the disk, or the limits are more than it has.`,
          {},
        )
    } catch (cause) {
      this.#space = 'unknown'
      if (before !== 'unknown')
        this.#host.warn('DISK_UNKNOWN', `The space left on the disk is unknown: ${toMessage(cause)}`, {
          cause,
        })
    }
  }

  /** Measures a watched tenant, and puts it to sleep if it is over. */
  async #inspect(tenant: Tenant): Promise<void> {
    try {
      const usage = this.#usageOf(tenant)
      await this.#oneByOne(() => this.#measureWatched(tenant, usage))
      // Whoever is at it already takes the box down, or brings it up; the next measurement sees to the rest.
      if (usage.verdict === 'over' && isLive(tenant.state) && !tenant.gate && !tenant.flight)
        await this.#putDown(tenant)
    } catch (cause) {
      if (!this.#closing.signal.aborted)
        this.#host.warn(
          'QUOTA_NOT_KEPT',
          `The disk limit of tenant ${JSON.stringify(tenant.id)} could not be seen to, and will be again: ${toMessage(cause)}`,
          { tenant: tenant.id, cause },
        )
    } finally {
      this.#underWay.delete(tenant)
    }
  }

  async #measureWatched(tenant: Tenant, usage: Usage): Promise<void> {
    const { signal } = this.#closing
    signal.throwIfAborted()
    usage.used = false
    usage.measuredAt = this.#host.clock.monotonic()
    if (usage.settings !== this.#host.settings) {
      const { settings } = this.#host
      setLimit(usage, await this.#host.planner.diskLimit(tenant, signal), settings)
    }
    if (usage.limit === undefined) this.#watched.delete(tenant)
    else await this.#measure(tenant, usage, usage.limit, signal)
    // Asleep it does not grow any more.
    if (tenant.state !== 'running') this.#watched.delete(tenant)
  }

  async #putDown(tenant: Tenant): Promise<void> {
    const { clock, sleeper } = this.#host
    const { signal } = this.#closing
    const bound = deadline(clock, 'quota', { signal, timeout: LEASES_MS, tenant: tenant.id })
    try {
      await sleeper.onRequest(tenant, 'stop', 'quota', { leases: 'wait', signal: bound.signal })
    } catch (error) {
      // Still leased: newcomers have waited long enough, and the next measurement comes back to it.
      if (!isTenantBoxError(error, 'BUSY', 'TIMEOUT')) throw error
    } finally {
      bound.done()
    }
  }

  async #measure(tenant: Tenant, usage: Usage, limit: number, signal: AbortSignal): Promise<void> {
    const { clock, dirs } = this.#host
    const turn = ++usage.turn
    const began = clock.monotonic()
    const { workspace, run } = dirs.folders(tenant.slug)
    const measurement = await measureTrees([workspace, run], MEASURE_BOUNDS, { clock, signal })
    if (turn !== usage.turn) return
    const before = usage.verdict
    usage.measuredAt = clock.monotonic()
    usage.tookMs = usage.measuredAt - began
    usage.bytes = measurement.bytes
    usage.verdict = judge(measurement, limit, before)
    if ((usage.verdict === 'over') !== (before === 'over'))
      this.#host.quota({
        tenant: tenant.id,
        at: clock.now(),
        bytes: usage.bytes,
        limit,
        over: usage.verdict === 'over',
      })
    if (measurement.missed !== undefined && measurement.missed !== usage.missed)
      this.#host.warn('DISK_NOT_COUNTED', notCounted(tenant, measurement.missed), { tenant: tenant.id })
    usage.missed = measurement.missed
  }
}

/** What was within one limit need not be within another, and without a limit nothing is over. */
function setLimit(usage: Usage, limit: number | undefined, settings: Settings): void {
  if (limit === undefined || (usage.limit !== limit && usage.verdict === 'within')) usage.verdict = 'unknown'
  usage.limit = limit
  usage.settings = settings
}
