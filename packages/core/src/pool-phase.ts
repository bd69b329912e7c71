import { TenantBoxError } from './errors.js'
import type { PoolEvents } from './lifecycle.js'
import type { Runtime } from './runtime.js'
import { SharedFlight } from './shared-flight.js'
import { openRuntime, type StartRequest } from './start.js'

/** What `start` has found. */
export interface StartReport {
  /** Boxes taken over from an earlier process. */
  adopted: number
  /** Name and version, for people. */
  engine: string
  /** Protections that are missing here. */
  warnings: readonly { code: string; message: string }[]
}

type Phase =
  | { readonly name: 'new' }
  | { readonly name: 'opening'; readonly flight: SharedFlight<StartReport> }
  | { readonly name: 'open'; readonly runtime: Runtime; readonly report: StartReport }
  | { readonly name: 'closed'; readonly done: Promise<void> }

/** A pool's own life: opened once by whoever comes first, closed once and for all. A start that failed can be repeated. */
export class PoolPhase {
  readonly #request: Omit<StartRequest, 'signal' | 'lockChanged'>
  #phase: Phase = { name: 'new' }
  #lock: PoolEvents['lock']['state'] = 'waiting'

  constructor(request: Omit<StartRequest, 'signal' | 'lockChanged'>) {
    this.#request = request
  }

  /** While the pool is open. */
  get runtime(): Runtime | undefined {
    return this.#phase.name === 'open' ? this.#phase.runtime : undefined
  }

  get lock(): PoolEvents['lock']['state'] {
    return this.#phase.name === 'closed' ? 'lost' : this.#lock
  }

  /** @throws TenantBoxError `POOL_CLOSED`, and what opening throws */
  async running(signal?: AbortSignal): Promise<Runtime> {
    if (!this.runtime) await this.started(signal)
    if (!this.runtime) throw poolClosed()
    return this.runtime
  }

  async started(signal?: AbortSignal): Promise<StartReport> {
    if (this.#phase.name === 'closed') throw poolClosed()
    if (this.#phase.name === 'open') return this.#phase.report
    if (this.#phase.name === 'new' || this.#phase.flight.abandoned) {
      const before = this.#phase.name === 'new' ? undefined : this.#phase.flight.settled
      const flight: SharedFlight<StartReport> = new SharedFlight(async (aborted) => {
        // It must be in place before anything of it runs, and one that was given up must let go of the lock first.
        await before
        return this.#open(aborted, () => flight)
      })
      this.#phase = { name: 'opening', flight }
    }
    return this.#phase.flight.join(signal)
  }

  async close(boxes: 'keep' | 'stop' | 'remove', drainMs: number): Promise<void> {
    if (this.#phase.name !== 'closed') {
      const was = this.#phase
      this.#phase = { name: 'closed', done: this.#close(was, boxes, drainMs) }
    }
    await this.#phase.done
  }

  async #open(signal: AbortSignal, self: () => SharedFlight<StartReport>): Promise<StartReport> {
    const isCurrent = (): boolean => this.#phase.name === 'opening' && this.#phase.flight === self()
    try {
      const { runtime, ...report } = await openRuntime({
        ...this.#request,
        signal,
        lockChanged: (state) => this.#lockChanged(state),
      })
      if (!isCurrent() || signal.aborted) {
        await runtime.close(poolClosed(), 'keep', 0)
        throw signal.reason ?? poolClosed()
      }
      this.#phase = { name: 'open', runtime, report }
      return report
    } catch (error) {
      if (isCurrent()) this.#phase = { name: 'new' }
      throw error
    }
  }

  async #close(was: Phase, boxes: 'keep' | 'stop' | 'remove', drainMs: number): Promise<void> {
    if (was.name === 'opening') {
      was.flight.abort(poolClosed())
      await was.flight.settled
    }
    const { mailbox, options } = this.#request
    const began = options.clock.monotonic()
    // It holds leases, and writes: both must have ended when the lock is let go.
    await mailbox.close(drainMs)
    const left = Math.max(0, drainMs - (options.clock.monotonic() - began))
    if (was.name === 'open') await was.runtime.close(poolClosed(), boxes, left)
    await this.#request.gateway.closeAll()
  }

  #lockChanged(state: PoolEvents['lock']['state']): void {
    this.#lock = state
    const { events, options } = this.#request
    events.emit('lock', { at: options.clock.now(), state })
  }
}

function poolClosed(): TenantBoxError<'POOL_CLOSED'> {
  return new TenantBoxError('POOL_CLOSED', 'This pool is closed. Make a new TenantPool to go on.', {})
}
