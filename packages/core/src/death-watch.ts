import type { Clock } from './clock.js'
import type { BoxExit, BoxRef, Driver } from './driver.js'

/** Asked now and then besides the events: one may be lost while the box comes up. */
const LOOK_MS = 1_000

/** Tells when a box that is coming up has died instead. An event is only a hint; the engine's answer counts. */
export class DeathWatch {
  readonly #driver: Pick<Driver, 'inspect'>
  readonly #box: BoxRef
  readonly #clock: Clock
  readonly died: Promise<BoxExit>
  #resolve: (exit: BoxExit) => void = () => undefined
  #hinted = false
  #startedAt: number | undefined
  #exit: BoxExit | undefined
  #cancel: (() => void) | undefined
  readonly #ended = new AbortController()

  constructor(driver: Pick<Driver, 'inspect'>, box: BoxRef, clock: Clock) {
    this.#driver = driver
    this.#box = box
    this.#clock = clock
    this.died = new Promise((resolve) => {
      this.#resolve = resolve
    })
  }

  /** How it died, once it has. */
  get exit(): BoxExit | undefined {
    return this.#exit
  }

  /** The start has succeeded: from now on a stopped box is a dead one. */
  begin(startedAt: number): void {
    this.#startedAt = startedAt
    if (this.#hinted) void this.#look()
    this.#lookLater()
  }

  /** Something happened to the box. */
  hint(): void {
    this.#hinted = true
    if (this.#startedAt !== undefined) void this.#look()
  }

  end(): void {
    this.#ended.abort()
    this.#cancel?.()
  }

  #lookLater(): void {
    this.#cancel = this.#clock.after(
      LOOK_MS,
      () => void this.#look().finally(() => this.#ended.signal.aborted || this.#lookLater()),
    )
  }

  async #look(): Promise<void> {
    try {
      const record = await this.#driver.inspect(this.#box, { signal: this.#ended.signal })
      if (record && record.state !== 'stopped' && record.startedAt === this.#startedAt) return
      this.#exit = record?.exit ?? { oom: false }
      this.#resolve(this.#exit)
    } catch {
      // The engine does not answer just now: the next look, or the deadline, will tell.
    }
  }
}
