import type { Clock } from '../clock.js'
import type { Driver, DriverEvent } from '../driver.js'
import { sleep } from '../wait.js'

/** A call that a driver can make to its engine. */
export type DriverOperation = Exclude<
  {
    [K in keyof Driver]-?: NonNullable<Driver[K]> extends (...input: never) => unknown ? K : never
  }[keyof Driver],
  'close'
>

export interface DriverCallInfo {
  readonly operation: DriverOperation
  /** Whose box it is about; undefined for calls about the engine itself. */
  readonly slug: string | undefined
  /** Id of the box, once there is one. */
  readonly box: string | undefined
}

/**
 * Where in a call: `before` it reaches the engine (aborting it there leaves nothing behind); `during` it (the engine
 * will do it, even for a caller that has given up); `after` it was done, but before the caller hears of it.
 */
export type Moment = 'before' | 'during' | 'after'

/** Sees every moment of every call. Throwing fails the call there; a promise holds it there. */
export type Interceptor = (call: DriverCallInfo, moment: Moment) => void | Promise<void>

/** Sees every event on its way to a pool, which hears what is given to `deliver`: nothing, later, twice, in another order. */
export type EventRelay = (event: DriverEvent, deliver: (event: DriverEvent) => void) => void

export interface FaultOptions {
  /** @default 'before' */
  at?: Moment | undefined
  /** Only calls it says true to. @default every one */
  when?: ((call: DriverCallInfo) => boolean) | undefined
  /** How many calls it strikes. @default 1, for `delay` every one */
  times?: number | undefined
}

/** A call that stands still until it is told how to go on. */
export interface Hold {
  /** Resolves once a call has arrived. */
  readonly reached: Promise<DriverCallInfo>
  /** Lets it go on, also when it has not arrived yet. */
  release(): void
  /** Lets it fail. */
  fail(error: Error): void
}

/** Faults between a `MemoryEngine` and its drivers. What a method returns undoes it, but for `hold`. */
export class Faults {
  readonly #clock: Clock
  readonly #interceptors = new Set<Interceptor>()
  #relay: EventRelay | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The primitive of all others: for instance, `() => scheduler.schedule(…)` gives fast-check every interleaving. */
  intercept(interceptor: Interceptor): () => void {
    this.#interceptors.add(interceptor)
    return () => this.#interceptors.delete(interceptor)
  }

  /** Fails the next calls of `operation`. With `at: 'after'` it was done nevertheless: only the answer is lost. */
  fail(operation: DriverOperation | 'any', error: Error, options: FaultOptions = {}): () => void {
    return this.#strike(operation, options.times ?? 1, options, () => {
      throw error
    })
  }

  /** Makes calls of `operation` last `ms` milliseconds of the engine's clock. */
  delay(operation: DriverOperation | 'any', ms: number, options: FaultOptions = {}): () => void {
    return this.#strike(operation, options.times ?? Number.POSITIVE_INFINITY, options, () =>
      sleep(this.#clock, ms),
    )
  }

  /** Holds the next call of `operation`; one that is never released hangs. */
  hold(operation: DriverOperation | 'any', options: Omit<FaultOptions, 'times'> = {}): Hold {
    let release = (): void => undefined
    let fail = (_error: Error): void => undefined
    const over = new Promise<void>((resolve, reject) => {
      release = resolve
      fail = reject
    })
    // It may be failed before a call arrives, which is then the one to hear of it.
    over.catch(() => undefined)
    const reached = new Promise<DriverCallInfo>((resolve) => {
      this.#strike(operation, 1, options, (call) => {
        resolve(call)
        return over
      })
    })
    return { reached, release, fail }
  }

  /**
   * Takes the place of the way that events go.
   *
   * @example faults.relayEvents(() => undefined) // all are lost
   */
  relayEvents(relay: EventRelay): () => void {
    this.#relay = relay
    return () => {
      if (this.#relay === relay) this.#relay = undefined
    }
  }

  /** Undoes everything but the calls and events that are held already. */
  clear(): void {
    this.#interceptors.clear()
    this.#relay = undefined
  }

  /** Sends an event on its way. */
  send(event: DriverEvent, deliver: (event: DriverEvent) => void): void {
    if (this.#relay) this.#relay(event, deliver)
    else deliver(event)
  }

  /** Takes a call past a moment. Undefined, not a promise, when there is nothing to wait for. */
  pass(call: DriverCallInfo, moment: Moment): Promise<void> | undefined {
    return this.#interceptors.size === 0 ? undefined : this.#passAll(call, moment)
  }

  async #passAll(call: DriverCallInfo, moment: Moment): Promise<void> {
    for (const interceptor of [...this.#interceptors]) await interceptor(call, moment)
  }

  #strike(
    operation: DriverOperation | 'any',
    times: number,
    { at, when }: FaultOptions,
    act: (call: DriverCallInfo) => void | Promise<void>,
  ): () => void {
    let left = times
    const stop = this.intercept((call, moment) => {
      if (moment !== (at ?? 'before') || (operation !== 'any' && operation !== call.operation)) return
      if (when && !when(call)) return
      if (--left <= 0) stop()
      return act(call)
    })
    return stop
  }
}
