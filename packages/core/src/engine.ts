import { orAbort } from './abort.js'
import type { Clock } from './clock.js'
import type { BoxRecord, Driver, DriverEvent } from './driver.js'
import { isTenantBoxError } from './errors.js'
import type { PoolEvents } from './lifecycle.js'
import { sleep } from './wait.js'

const FIRST_RETRY_MS = 100
const LONGEST_RETRY_MS = 10_000
/** A connection that breaks sooner was none: the engine answers some calls and not others, and is not to be rushed. */
const STEADY_MS = 2_000
/** The engine is asked for everything now and then, whatever the event stream says: a lost event must not last. */
const RELIST_MS = 5 * 60_000
const RELIST_SOON_MS = 5_000

/** What the connection needs of the pool. */
export interface EngineHost {
  readonly clock: Clock
  engineChanged(event: PoolEvents['engine']): void
  happened(event: DriverEvent): void
  /** The engine's answer to what there is, at first or anew: whatever was missed is in it. */
  listed(records: readonly BoxRecord[]): Promise<void>
}

/**
 * The pool's standing connection to the engine: its event stream. While that holds, what the pool knows is true; when it
 * breaks, a new `epoch` begins, and what was known in an earlier one must be asked for again.
 */
export class EngineConnection {
  readonly #driver: Driver
  readonly #host: EngineHost
  readonly #closing = new AbortController()
  #stream = new AbortController()
  #epoch = 0
  #outage: Outage | undefined
  /** Which attempt made the connection, and when. */
  #attempt = 0
  #since = 0
  #following: Promise<void> = Promise.resolve()
  #nextRelist: { readonly due: number; readonly cancel: () => void } | undefined

  constructor(driver: Driver, host: EngineHost) {
    this.#driver = driver
    this.#host = host
  }

  get epoch(): number {
    return this.#epoch
  }

  get state(): 'up' | 'down' {
    return this.#outage ? 'down' : 'up'
  }

  /** The first connection: its failure is the caller's, later ones are repaired here. */
  async open(signal?: AbortSignal): Promise<void> {
    const events = await this.#connect(signal)
    this.#following = this.#follow(events)
    this.#relistIn(RELIST_MS)
  }

  /** A call found the engine gone or hung: whatever the stream looks like, it is made anew. */
  lost(cause: unknown): void {
    this.#begin()
    this.#stream.abort(cause)
  }

  /** Something was left undone at the engine that a listing shows: has one made before it is time again. */
  relistSoon(): void {
    if (!this.#closing.signal.aborted) this.#relistIn(RELIST_SOON_MS)
  }

  /** Does `work` as soon as the engine answers, and again when it was lost over it; rejects with the signal's reason. */
  async whenUp<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    for (;;) {
      if (this.#outage) await orAbort(orAbort(this.#outage.over, signal), this.#closing.signal)
      try {
        return await work()
      } catch (error) {
        if (!isTenantBoxError(error, 'ENGINE_UNAVAILABLE')) throw error
        this.lost(error)
        signal.throwIfAborted()
      }
    }
  }

  /** @param reason what those who wait for the engine are told */
  async close(reason?: Error): Promise<void> {
    this.#nextRelist?.cancel()
    this.#closing.abort(reason)
    this.#stream.abort()
    await this.#following
  }

  /** Subscribes before it lists, so that nothing falls between the two. */
  async #connect(signal?: AbortSignal): Promise<AsyncIterable<DriverEvent>> {
    this.#stream = new AbortController()
    const events = await this.#driver.watch({
      signal: AbortSignal.any([this.#stream.signal, this.#closing.signal]),
    })
    await this.#host.listed(await this.#driver.list({ signal }))
    return events
  }

  async #follow(first: AsyncIterable<DriverEvent>): Promise<void> {
    let events: AsyncIterable<DriverEvent> | undefined = first
    while (!this.#closing.signal.aborted) {
      let cause: unknown
      try {
        for await (const event of events ?? []) this.#host.happened(event)
        cause = this.#stream.signal.reason
      } catch (error) {
        cause = error
      }
      if (this.#closing.signal.aborted) return
      events = await this.#reconnect(cause)
    }
  }

  async #reconnect(cause: unknown): Promise<AsyncIterable<DriverEvent> | undefined> {
    const outage = this.#begin()
    this.#stream.abort()
    let latest = cause
    const steady = this.#host.clock.monotonic() - this.#since >= STEADY_MS
    for (let attempt = steady ? 1 : this.#attempt + 1; ; attempt++) {
      const retryIn = backoff(attempt)
      this.#tell({ state: 'down', attempt, retryIn, cause: latest })
      try {
        await sleep(this.#host.clock, retryIn, this.#closing.signal)
        const events = await this.#connect(this.#closing.signal)
        this.#outage = undefined
        this.#attempt = attempt
        this.#since = this.#host.clock.monotonic()
        outage.end()
        this.#tell({ state: 'up', attempt })
        return events
      } catch (error) {
        if (this.#closing.signal.aborted) return undefined
        this.#stream.abort()
        latest = error
      }
    }
  }

  /** From here on nothing that was known counts, and who needs the engine waits. */
  #begin(): Outage {
    if (this.#outage) return this.#outage
    this.#epoch++
    this.#outage = beginOutage()
    return this.#outage
  }

  /** In so many milliseconds at the latest. */
  #relistIn(ms: number): void {
    const { clock } = this.#host
    const due = clock.monotonic() + ms
    if (this.#nextRelist && this.#nextRelist.due <= due) return
    this.#nextRelist?.cancel()
    const relist = (): void => {
      this.#nextRelist = undefined
      void this.#relist()
    }
    this.#nextRelist = { due, cancel: clock.after(ms, relist, { background: true }) }
  }

  async #relist(): Promise<void> {
    try {
      if (!this.#outage) await this.#host.listed(await this.#driver.list({ signal: this.#closing.signal }))
    } catch (error) {
      this.lost(error)
    }
    if (!this.#closing.signal.aborted) this.#relistIn(RELIST_MS)
  }

  #tell(event: Omit<PoolEvents['engine'], 'at'>): void {
    this.#host.engineChanged({ at: this.#host.clock.now(), ...event })
  }
}

interface Outage {
  readonly over: Promise<void>
  end(): void
}

function beginOutage(): Outage {
  let end = (): void => undefined
  const over = new Promise<void>((resolve) => {
    end = resolve
  })
  return { over, end }
}

/** Exponential, with full jitter in its upper half, so that many pools do not come back all at once. */
function backoff(attempt: number): number {
  const full = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** (attempt - 1))
  return full / 2 + (Math.random() * full) / 2
}
