import { existsSync } from 'node:fs'
import { errnoOf, isWorkspaceError, WorkspaceError } from '../errors.js'
import type { Json } from '../json.js'
import type { Problem } from '../problem.js'
import type { Due } from '../schedule.js'
import { SCHEDULES_FILE, type ValidSchedule } from '../schedules.js'
import { DueQueue } from './due-queue.js'
import { Journal } from './journal.js'
import type { Entry, Ledger } from './ledger.js'
import { type ResolvedSchedulerOptions, resolveOptions, type SchedulerOptions } from './options.js'
import { SchedulesWatch } from './schedules-watch.js'
import { readSchedules } from './tenant-schedules.js'
import { TrackedTenant } from './tracked-tenant.js'

/** The clock may be set, and timers do not notice: it is looked at this often. */
const LONGEST_SLEEP_MS = 30_000
const FIRST_RETRY_MS = 1000
const LONGEST_RETRY_MS = 5 * 60_000
const READ_AT_A_TIME = 16
const KEEP_MARKS_MS = 7 * 24 * 3_600_000

/**
 * Sees to the schedules of all tenants, sleeping ones too. It holds them in memory, waits for the first that is due, and
 * reads a tenant's file again when that changes or `refresh` says so; never all of them.
 *
 * @example
 * const scheduler = new Scheduler({
 *   stateDir: './scheduler',
 *   tenants: () => [{ tenant: 'user-42', dir: './data/user-42/workspace' }],
 *   onDue: (due) => mailbox.post(due.tenant, { id: due.id, body: due }),
 * })
 * await scheduler.start()
 */
export class Scheduler<P extends Json = Json> implements AsyncDisposable {
  readonly #options: ResolvedSchedulerOptions<P>
  readonly #queue = new DueQueue<TrackedTenant>()
  readonly #tenants = new Map<string, TrackedTenant>()
  /** Readings and calls of `onDue` that are under way. */
  readonly #work = new Set<Promise<void>>()
  #serving = 0
  #state: 'new' | 'open' | 'closed' = 'new'
  #journal: Journal | undefined
  #cancelTimer: (() => void) | undefined
  #looking: Promise<void> | undefined
  #unwatched = false

  constructor(options: SchedulerOptions<P>) {
    this.#options = resolveOptions(options)
  }

  /**
   * Reads all tenants' files, and begins. Resolves when every tenant has been read; what was due meanwhile is handed
   * over by then or soon after.
   *
   * @throws WorkspaceError about `stateDir`; `CLOSED` when it has been started before
   */
  async start(): Promise<void> {
    if (this.#state !== 'new')
      throw new WorkspaceError('CLOSED', 'A scheduler starts once. Make a new one.', {})
    this.#state = 'open'
    this.#journal = await Journal.open(this.#options.stateDir, (...mark) => this.#isObsolete(...mark))
    this.#arm()
    await this.#look()
  }

  /** Reads one tenant's file again, soon: call it after each of the tenant's leases. */
  refresh(tenant: string): void {
    if (this.#state !== 'open') return
    const known = this.#tenants.get(tenant)
    if (known) this.#track(this.#read(known), tenant)
    else
      this.#looking ??= this.#look().finally(() => {
        this.#looking = undefined
      })
  }

  /** Resolves when no file is being read and no call of `onDue` is under way. */
  async idle(): Promise<void> {
    while (this.#looking || this.#work.size > 0) await Promise.all([this.#looking, ...this.#work])
  }

  /** Ends. Waits for the calls of `onDue` that are under way; what is not handed over will be after the next start. */
  async close(): Promise<void> {
    this.#state = 'closed'
    this.#cancelTimer?.()
    for (const { watch } of this.#tenants.values()) watch.close()
    await this.idle()
    await this.#journal?.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** Finds tenants that are not known yet. */
  async #look(): Promise<void> {
    const unread: TrackedTenant[] = []
    try {
      for await (const { tenant, dir } of this.#options.tenants()) {
        if (this.#tenants.has(tenant)) continue
        const watch = new SchedulesWatch(dir, this.#options.clock, () => this.refresh(tenant))
        const tracked = new TrackedTenant(tenant, dir, watch)
        this.#tenants.set(tenant, tracked)
        unread.push(tracked)
      }
    } catch (error) {
      this.#report('', `The list of tenants failed: ${textOf(error)}.`)
    }
    const readNext = async (): Promise<void> => {
      for (let next = unread.pop(); next && this.#state === 'open'; next = unread.pop())
        await this.#track(this.#read(next), next.tenant)
    }
    await Promise.all(Array.from({ length: READ_AT_A_TIME }, readNext))
  }

  async #read(tracked: TrackedTenant): Promise<void> {
    if (tracked.reading !== 'no') {
      tracked.reading = 'again'
      return
    }
    const { tenant, directory } = tracked
    try {
      do {
        tracked.reading = 'now'
        if (!tracked.watch.arm()) this.#onUnwatched(tracked)
        const began = performance.now()
        const report = (problem: Problem) => this.#tell({ ...problem, tenant })
        const schedules = await readSchedules(directory, this.#options.maxPerTenant, report)
        if (schedules) await this.#plan(tracked, schedules)
        tracked.watch.wasRead(performance.now() - began)
      } while (isWanted(tracked) && this.#state === 'open')
    } finally {
      tracked.reading = 'no'
      this.#enqueue(tracked)
    }
  }

  async #plan(tracked: TrackedTenant, schedules: readonly ValidSchedule[]): Promise<void> {
    const { tenant } = tracked
    const at = this.#options.clock.now()
    for (const schedule of tracked.replace(schedules)) this.#note({ type: 'mark', tenant, schedule, at })
    await tracked.plan(this.#ledger.of(tenant).marks)
  }

  /** Puts the tenant where it belongs in the queue, unless it is being served: then that does so at its end. */
  #enqueue(tracked: TrackedTenant): void {
    if (tracked.served || this.#state !== 'open') return
    const pending = this.#ledger.of(tracked.tenant).pending.size > 0
    const next = pending ? 0 : tracked.nextAt()
    if (next === undefined) this.#queue.delete(tracked)
    else this.#queue.set(tracked, Math.max(next, tracked.notBefore))
    this.#arm()
  }

  #arm(): void {
    this.#cancelTimer?.()
    if (this.#state !== 'open') return
    const { clock, concurrency } = this.#options
    const next = this.#serving < concurrency ? this.#queue.nextAt() : undefined
    const wait = (next ?? Number.POSITIVE_INFINITY) - clock.now()
    this.#cancelTimer = clock.after(Math.min(Math.max(0, wait), LONGEST_SLEEP_MS), () => this.#serve())
  }

  #serve(): void {
    const { clock, concurrency } = this.#options
    while (this.#serving < concurrency) {
      const tracked = this.#queue.take(clock.now())
      if (!tracked) break
      this.#track(this.#handOver(tracked), tracked.tenant)
    }
    this.#arm()
  }

  async #handOver(tracked: TrackedTenant): Promise<void> {
    this.#serving++
    tracked.served = true
    try {
      await this.#claim(tracked)
      for (const due of [...this.#ledger.of(tracked.tenant).pending.values()]) {
        if (this.#state !== 'open' || !this.#mayPass(tracked)) return
        await this.#options.onDue(due as Due<P>)
        this.#note({ type: 'done', tenant: tracked.tenant, id: due.id })
        tracked.failures = 0
      }
    } catch (error) {
      const delay = Math.min(FIRST_RETRY_MS * 2 ** tracked.failures++, LONGEST_RETRY_MS)
      tracked.notBefore = this.#options.clock.now() + delay
      this.#report(
        tracked.tenant,
        `A due was not handed over (${textOf(error)}); again in ${delay / 1000} s.`,
      )
    } finally {
      this.#serving--
      tracked.served = false
      this.#enqueue(tracked)
    }
  }

  /** No tenant, however much is due of it at once, takes what many share: a bot's rate limit, an agent's time. */
  #mayPass(tracked: TrackedTenant): boolean {
    const { clock, maxPerMinute } = this.#options
    const now = clock.now()
    const wait = tracked.pace.pass(now, maxPerMinute)
    if (wait === 0) return true
    tracked.notBefore = now + wait
    this.#report(
      tracked.tenant,
      `More than ${maxPerMinute} were due in a minute; the others wait for the next.`,
    )
    return false
  }

  /** What is due is on the disk before anybody is told of it, so that a crash forgets none. */
  async #claim(tracked: TrackedTenant): Promise<void> {
    const { tenant } = tracked
    const { marks, pending } = this.#ledger.of(tenant)
    if (pending.size > 0) {
      // Claimed by an earlier process, or by an attempt whose write may have failed.
      if (!this.#opened.isSound) await this.#record([])
      return
    }
    const found = await tracked.collect(this.#options.clock.now(), marks, this.#options)
    const entries: Entry[] = found.marks.map(([schedule, at]) => ({ type: 'mark', tenant, schedule, at }))
    entries.push(...found.dues.map((due): Entry => ({ type: 'claim', tenant, due })))
    try {
      if (entries.length > 0) await this.#record(entries)
    } finally {
      tracked.planSome(
        found.marks.map(([schedule]) => schedule),
        this.#ledger.of(tenant).marks,
      )
    }
  }

  get #ledger(): Ledger {
    return this.#opened.ledger
  }

  get #opened(): Journal {
    if (!this.#journal) throw new WorkspaceError('CLOSED', 'The scheduler is not started.', {})
    return this.#journal
  }

  async #record(entries: readonly Entry[]): Promise<void> {
    try {
      await this.#opened.record(entries)
    } catch (error) {
      if (isWorkspaceError(error, 'CLOSED')) this.#giveUp(error)
      throw error
    }
  }

  #note(entry: Entry): void {
    // Not written, it only means that somebody is told twice after a crash.
    this.#opened
      .note(entry)
      .catch((error: unknown) => this.#report('', `The state was not written: ${textOf(error)}.`))
  }

  /** Marks are kept for as long as their schedule, and a while longer: a file may be broken, or replaced in two steps. */
  #isObsolete(tenant: string, schedule: string, at: number): boolean {
    if (this.#tenants.get(tenant)?.has(schedule)) return false
    const { clock, maxPerTenant } = this.#options
    return at < clock.now() - KEEP_MARKS_MS || this.#ledger.of(tenant).marks.size > 4 * maxPerTenant
  }

  /** Another scheduler has taken over. */
  #giveUp(error: Error): void {
    if (this.#state !== 'open') return
    this.#state = 'closed'
    this.#cancelTimer?.()
    this.#report('', error.message)
  }

  #onUnwatched({ tenant, directory }: TrackedTenant): void {
    if (this.#unwatched || !existsSync(directory)) return
    this.#unwatched = true
    this.#report(
      tenant,
      'Changes are seen after refresh() only: the system has no watches left (fs.inotify.max_user_watches).',
    )
  }

  #track(work: Promise<void>, tenant: string): Promise<void> {
    const tracked = work
      .catch((error: unknown) => this.#report(tenant, `The schedules were not read: ${textOf(error)}.`))
      .finally(() => this.#work.delete(tracked))
    this.#work.add(tracked)
    return tracked
  }

  #report(tenant: string, message: string): void {
    this.#tell({ tenant, file: SCHEDULES_FILE, message })
  }

  #tell(problem: Problem & { tenant: string }): void {
    try {
      this.#options.onProblem(problem)
    } catch {
      // A listener that throws must not keep anybody's schedules from their time.
    }
  }
}

/** Whether somebody has asked for another reading during this one. */
function isWanted(tracked: TrackedTenant): boolean {
  return tracked.reading === 'again'
}

function textOf(error: unknown): string {
  return errnoOf(error) ?? (error instanceof Error ? error.message : String(error))
}
