import { either, orAbort } from './abort.js'
import { type AgentEvent, type Answer, createAnswer, type MessageInput, toAgentMessage } from './agent.js'
import type { LogLine, LogsRequest } from './driver.js'
import { TenantBoxError } from './errors.js'
import { type GatewayHandler, GatewaySockets } from './gateway-socket.js'
import type { IdleTier } from './idle.js'
import { type BoxState, isLive, type PoolEvents } from './lifecycle.js'
import { MailboxSeat, type PoolAccess } from './mailbox/pool-access.js'
import {
  changeSettings,
  type PoolOptions,
  type ResolvedOptions,
  resolveOptions,
  resolveSettings,
  type Settings,
  type SettingsOptions,
  type SleepOptions,
} from './options.js'
import { PoolEmitter } from './pool-events.js'
import { PoolPhase, type StartReport } from './pool-phase.js'
import { askOf, fetchFrom } from './requests.js'
import type { Runtime } from './runtime.js'
import type { BoxLease, Tenant } from './tenant.js'
import type { FetchInit, TenantBox } from './tenant-box.js'
import type { Stray } from './tenant-dirs.js'
import { infoOf, type PoolStats, type TenantInfo } from './tenant-info.js'
import { type Duration, oneOf, toMilliseconds } from './units.js'
import { type CallOptions, deadline, remaining } from './wait.js'

/** A promise that the box is not put to sleep until it is released. */
export interface Lease extends AsyncDisposable {
  readonly box: TenantBox
  /** Aborts when the lease ends before it is released: the box died, the lease expired, the caller gave up. */
  readonly signal: AbortSignal
  /** Idempotent. */
  release(): void
}

/** What only a mailbox may ask of a pool: not part of its public face. */
export let accessTo: (pool: TenantPool) => PoolAccess

/**
 * The owner of all boxes of one app: gives every tenant a box of its own, awake when it is needed and asleep when it is
 * not. What fails is told by a `TenantBoxError` (`INVALID_TENANT` for what is no tenant id, `POOL_CLOSED` after `close`),
 * except for what an app's own callbacks throw and the reason of a signal it aborts, which come as they are.
 *
 * @example
 * const pool = new TenantPool({ name: 'companion', driver: docker(), dataDir: './data', box: { image: 'agent:1' } })
 * for await (const event of pool.send('user-42', 'hello')) console.log(event)
 */
export class TenantPool implements AsyncDisposable {
  readonly #options: ResolvedOptions
  readonly #events: PoolEmitter
  readonly #gateway: GatewaySockets
  readonly #current: { settings: Settings }
  #settingsOptions: SettingsOptions
  readonly #phase: PoolPhase
  readonly #mailbox = new MailboxSeat()

  static {
    accessTo = (pool) => ({
      clock: pool.#options.clock,
      seat: pool.#mailbox,
      folders: () => pool.#phase.running(),
      warn: (code, message, about) => pool.#events.warn(code, message, about),
    })
  }

  /** @throws TenantBoxError `INVALID_OPTION`, naming the option, what it must be and what it got */
  constructor(options: PoolOptions) {
    this.#options = resolveOptions(options)
    this.#settingsOptions = options
    this.#current = { settings: this.#options.settings }
    this.#events = new PoolEmitter(this.#options.clock)
    this.#gateway = new GatewaySockets({
      onWarning: (code, message, about) => this.#events.warn(code, message, about),
    })
    this.#phase = new PoolPhase({
      options: this.#options,
      current: this.#current,
      events: this.#events,
      gateway: this.#gateway,
      mailbox: this.#mailbox,
    })
  }

  /** The folder of all tenants' files, absolute. Adapters keep theirs in `.tenantbox/<adapter>` in it. */
  get dataDir(): string {
    return this.#options.dataDir
  }

  /**
   * Takes the lock on `dataDir`, reaches the engine, adopts the boxes there are. Any other call implies it; calling it
   * first makes trouble show early. A failed start can be repeated.
   *
   * @throws TenantBoxError `POOL_LOCKED`, `ENGINE_UNAVAILABLE`, `UNSUPPORTED_ENGINE`, `INVALID_OPTION`
   */
  async start(options: CallOptions = {}): Promise<StartReport> {
    return this.#bounded('start', undefined, options, (signal) => this.#phase.started(signal))
  }

  /**
   * Wakes, leases, sends one message, and releases at the end of the answer. Nothing happens until the answer is read;
   * leaving its loop cancels. Does not order messages: the mailbox does.
   */
  send(tenant: string, message: MessageInput, options: CallOptions = {}): Answer {
    return createAnswer((signal) => this.#ask(tenant, message, options, signal), { tenant })
  }

  /** The same for a plain HTTP request to the agent. `timeout` bounds it all, waking included. */
  async fetch(tenant: string, path: string, init: FetchInit = {}): Promise<Response> {
    const { timeout, signal } = init
    const left = remaining(this.#options.clock, { signal: signal ?? undefined, timeout })
    return fetchFrom(await this.#running('fetch', tenant, left()), tenant, path, init, left)
  }

  /**
   * Several operations under one lease: the box is not put to sleep before `work` settles. Rejects at once when the
   * lease ends before that (the box died, `timeouts.lease`, the caller gave up); `work` hears of it by its signal.
   */
  async use<T>(
    tenant: string,
    work: (box: TenantBox, signal: AbortSignal) => T | Promise<T>,
    options: CallOptions = {},
  ): Promise<T> {
    const { runtime, lease } = await this.#lease(tenant, 'use', options)
    try {
      return await orAbort(
        Promise.resolve(work(runtime.leasing.leasedHandle(lease), lease.signal)),
        lease.signal,
      )
    } finally {
      lease.release()
    }
  }

  /** A lease to release by hand, or by `await using`. `use` cannot be forgotten. */
  async lease(tenant: string, options: CallOptions = {}): Promise<Lease> {
    const { runtime, lease } = await this.#lease(tenant, 'lease', options)
    return {
      box: runtime.leasing.leasedHandle(lease),
      signal: lease.signal,
      release: () => lease.release(),
      [Symbol.asyncDispose]: async () => lease.release(),
    }
  }

  /**
   * Running and ready now, to warm it up; counts as activity, but is no lease. On a running box, no engine call.
   *
   * @throws TenantBoxError whatever a wake can fail with, as in `send`, `fetch`, `use` and `lease`: `START_FAILED`,
   * `CRASH_LOOP`, `CAPACITY`, `QUEUE_TIMEOUT`, `OVER_QUOTA`, `FOREIGN_BOX`, `INVALID_OPTION` for what `perTenant`
   * returns, `TIMEOUT`. An engine that is away is waited for.
   */
  async ensure(tenant: string, options: CallOptions = {}): Promise<TenantBox> {
    const { runtime: open } = this.#phase
    const known = open?.tenants.find(tenant)
    // A timeout must be looked at first: it may be none.
    if (open && known && options.timeout === undefined && !options.signal?.aborted) {
      const box = open.leasing.awake(known)
      if (box) {
        open.noteActivity(known)
        return box
      }
    }
    const left = remaining(this.#options.clock, options)
    const runtime = await this.#running('ensure', tenant, left())
    return runtime.leasing.ensure(runtime.tenants.get(tenant), left())
  }

  /** Counts as activity; never wakes. False when the tenant is unknown, or the pool is not open. */
  touch(tenant: string): boolean {
    const { runtime } = this.#phase
    const known = runtime?.tenants.find(tenant)
    if (known) runtime?.noteActivity(known)
    return known !== undefined
  }

  /** Applies the idle tiers that are due now. They also run by themselves, each when it is due. */
  async reap(): Promise<void> {
    const runtime = await this.#phase.running()
    await runtime.reaper.reap()
  }

  /**
   * Freezes a running box; one that sleeps already stays as it is.
   *
   * @throws TenantBoxError `BUSY`; `START_FAILED` when the engine refuses, here and in `stop`, `remove` and `refresh`
   */
  async pause(tenant: string, options: SleepOptions = {}): Promise<void> {
    const { driver } = this.#options
    if (!driver.supports.pause)
      throw new TenantBoxError(
        'INVALID_OPTION',
        `The ${driver.name} driver cannot pause a box. Use stop, or another driver.`,
        { option: 'driver', expected: 'one that supports pause', got: driver.name },
        { tenant },
      )
    await this.#down(tenant, 'pause', options)
  }

  /** Ends the box's processes; the box and the files stay. @throws TenantBoxError `BUSY` */
  async stop(tenant: string, options: SleepOptions = {}): Promise<void> {
    await this.#down(tenant, 'stop', options)
  }

  /**
   * Removes the box; with `data: 'delete'` also all of the tenant's files, for good: once the box is gone they are moved
   * to the pool's trash in one step, and the tenant may come anew. Deleting them takes as long as it takes; a caller who
   * gives up before, or a pool that is closed, only leaves the rest of it to the background, or to the next process.
   * `leftBehind` names what cannot be deleted, as paths in `dataDir/.tenantbox/trash`.
   *
   * @throws TenantBoxError `BUSY`, `TIMEOUT`
   */
  async remove(
    tenant: string,
    options: SleepOptions & { data?: 'keep' | 'delete' | undefined } = {},
  ): Promise<{ leftBehind: readonly string[] }> {
    const { data: given, ...rest } = options
    const data = oneOf('data', given ?? 'keep', ['keep', 'delete'])
    let deletion: Promise<string[]> | undefined
    await this.#down(tenant, 'remove', rest, async (runtime, known) => {
      if (data === 'delete') deletion = (await runtime.discard(known)).deletion
    })
    const known = data === 'delete' ? this.#phase.runtime?.tenants.find(tenant) : undefined
    if (known) this.#phase.runtime?.tenants.forget(known)
    const { signal, timeout } = rest
    const leftBehind = await this.#bounded('remove', tenant, { signal, timeout }, (bound) =>
      orAbort(deletion ?? Promise.resolve([]), bound),
    )
    return { leftBehind }
  }

  /** What the box wrote to stdout and stderr, oldest first; of a stopped one too. Empty when there is no box. */
  async *logs(
    tenant: string,
    options: CallOptions & Pick<LogsRequest, 'follow' | 'tail' | 'since'> = {},
  ): AsyncGenerator<LogLine, void, undefined> {
    const { signal, timeout, ...request } = options
    const left = remaining(this.#options.clock, { signal, timeout })
    const runtime = await this.#running('logs', tenant, left())
    const box = runtime.tenants.find(tenant)?.box
    if (!box) return
    const bound = deadline(runtime.clock, 'logs', { ...left(), tenant })
    try {
      yield* runtime.driver.logs(box, request, { signal: bound.signal })
      bound.signal.throwIfAborted()
    } finally {
      bound.done()
    }
  }

  /** Undefined when the tenant is unknown. */
  get(tenant: string): TenantInfo | undefined {
    const { runtime } = this.#phase
    const known = runtime?.tenants.find(tenant)
    return runtime && known && infoOf(known, runtime)
  }

  /** Every tenant with a folder or a box. A snapshot is not taken: what changes meanwhile shows. */
  *list(
    filter: { state?: BoxState | readonly BoxState[] | undefined; prefix?: string | undefined } = {},
  ): IterableIterator<TenantInfo> {
    const { runtime } = this.#phase
    if (!runtime) return
    const { state, prefix } = filter
    const states = state === undefined ? undefined : typeof state === 'string' ? [state] : state
    for (const tenant of runtime.tenants.known()) {
      if (prefix !== undefined && !tenant.id.startsWith(prefix)) continue
      if (states?.includes(tenant.state) === false) continue
      yield infoOf(tenant, runtime)
    }
  }

  /** What lies in `dataDir` now and is no tenant's. The pool leaves it alone. */
  async strays(options: CallOptions = {}): Promise<readonly Stray[]> {
    return this.#bounded('strays', undefined, options, async (signal) => {
      const runtime = await this.#phase.running(signal)
      return orAbort(runtime.strays(), signal)
    })
  }

  /** The pool as a whole. While it is not open, `ok` is false and every number 0. */
  stats(): PoolStats {
    const { runtime, lock } = this.#phase
    if (!runtime) return { ok: false, engine: 'down', lock, ...NOTHING }
    const engine = runtime.engine.state
    return { ok: engine === 'up' && lock === 'held', engine, lock, ...runtime.counts() }
  }

  /**
   * Changes options of a running pool. A changed `box` reaches each tenant as `onDrift` says; an option that is left out
   * stays as it is, `undefined` goes back to the default.
   *
   * @throws TenantBoxError `INVALID_OPTION`; then nothing has changed
   */
  update(options: Partial<SettingsOptions>): void {
    const changed = changeSettings(this.#settingsOptions, options)
    this.#current.settings = resolveSettings(changed)
    this.#settingsOptions = changed
    this.#phase.runtime?.settingsChanged()
  }

  /**
   * Brings a tenant's box up to the present spec now, instead of at its next wake: `perTenant` is asked, and a box that
   * has drifted is rebuilt, also with `onDrift: 'keep'`. Resolves with whether it was: not when the new box did not come
   * up and the old one goes on. One asleep is only marked, and is rebuilt when it wakes.
   *
   * @throws TenantBoxError `BUSY`
   */
  async refresh(tenant: string, options: SleepOptions = {}): Promise<boolean> {
    const { leases: given = 'wait', ...call } = options
    const leases = oneOf('leases', given, ['wait', 'abort'])
    return this.#bounded('refresh', tenant, call, async (signal) => {
      const runtime = await this.#phase.running(signal)
      const known = runtime.tenants.get(tenant)
      const drifted = await runtime.engine.whenUp(signal, () =>
        orAbort(runtime.hasDrifted(known, signal), signal),
      )
      if (!drifted) return false
      if (!isLive(known.state)) {
        known.rebuildAsked = true
        return false
      }
      // Not before it is down: who gives up on the leases has asked for nothing.
      const afterwards = async (): Promise<void> => {
        known.rebuildAsked = true
      }
      await runtime.engine.whenUp(signal, () =>
        runtime.sleeper.onRequest(known, 'stop', 'drift', { leases, signal, afterwards }),
      )
      await runtime.leasing.ensure(known, { signal })
      return !known.drifted
    })
  }

  /**
   * Answers requests from inside the boxes, sent to `$TENANTBOX_GATEWAY` below `prefix`. The socket itself tells which
   * tenant asks. So model keys and tools stay here while the box has no network. Returns the remover.
   */
  serve(prefix: `/${string}`, handler: GatewayHandler): () => void {
    return this.#gateway.serve(prefix, handler)
  }

  /** Listens to an event until the returned function is called or the signal aborts. */
  on<K extends keyof PoolEvents>(
    event: K,
    listener: (event: PoolEvents[K]) => void,
    options?: { signal?: AbortSignal | undefined; once?: boolean | undefined },
  ): () => void {
    return this.#events.on(event, listener, options)
  }

  /**
   * Lets go of everything, so that the process can exit by itself. New calls fail with `POOL_CLOSED`; leases have
   * `drain` to end by themselves, then they are aborted.
   *
   * @param options `boxes`: what becomes of them, by default what `onClose` says; `drain`: '10s' by default
   */
  async close(
    options: { boxes?: 'keep' | 'stop' | 'remove' | undefined; drain?: Duration | undefined } = {},
  ): Promise<void> {
    const drainMs = toMilliseconds('drain', options.drain ?? '10s')
    const boxes = oneOf('boxes', options.boxes ?? this.#options.onClose, ['keep', 'stop', 'remove'])
    await this.#phase.close(boxes, drainMs)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async *#ask(
    tenant: string,
    message: MessageInput,
    options: CallOptions,
    signal: AbortSignal,
  ): AsyncIterable<AgentEvent> {
    // Filled in once: a second attempt is the same message.
    const whole = toAgentMessage(message)
    const left = remaining(this.#options.clock, { ...options, signal: either(signal, options.signal) })
    yield* askOf(await this.#running('send', tenant, left()), tenant, whole, left)
  }

  async #lease(
    tenant: string,
    operation: string,
    options: CallOptions,
  ): Promise<{ runtime: Runtime; lease: BoxLease }> {
    const left = remaining(this.#options.clock, options)
    const runtime = await this.#running(operation, tenant, left())
    return { runtime, lease: await runtime.leasing.lease(runtime.tenants.get(tenant), operation, left()) }
  }

  async #down(
    tenant: string,
    tier: IdleTier,
    options: SleepOptions,
    afterwards?: (runtime: Runtime, tenant: Tenant) => Promise<void>,
  ): Promise<void> {
    const { leases: given = 'wait', timeout = DOWN_TIMEOUT, signal } = options
    const leases = oneOf('leases', given, ['wait', 'abort'])
    await this.#bounded(tier, tenant, { signal, timeout }, async (bound) => {
      const runtime = await this.#phase.running(bound)
      const known = runtime.tenants.get(tenant)
      await runtime.engine.whenUp(bound, () =>
        runtime.sleeper.onRequest(known, tier, 'requested', {
          leases,
          signal: bound,
          ...(afterwards ? { afterwards: () => afterwards(runtime, known) } : {}),
        }),
      )
    })
  }

  /** The open pool, which is opened if need be. */
  async #running(operation: string, tenant: string, options: CallOptions): Promise<Runtime> {
    return (
      this.#phase.runtime ??
      this.#bounded(operation, tenant, options, (signal) => this.#phase.running(signal))
    )
  }

  async #bounded<T>(
    operation: string,
    tenant: string | undefined,
    options: CallOptions,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const bound = deadline(this.#options.clock, operation, { ...options, tenant })
    try {
      return await work(bound.signal)
    } finally {
      bound.done()
    }
  }
}

const NOTHING = { known: 0, running: 0, paused: 0, leased: 0, queued: 0 }

/** How long pause, stop and remove wait for leases to end unless told otherwise. */
const DOWN_TIMEOUT = '60s'
