import type { Clock } from '../../src/index.js'

/** A clock that stands still until the test moves it. */
export class TestClock implements Clock {
  #now: number
  #elapsed = 0
  readonly #timers = new Set<{ at: number; callback: () => void }>()

  constructor(now: string) {
    this.#now = Date.parse(now)
  }

  now(): number {
    return this.#now
  }

  after(ms: number, callback: () => void): () => void {
    const timer = { at: this.#elapsed + ms, callback }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  /** Lets time pass: timers that are due fire, in order. */
  advance(ms: number): void {
    const until = this.#elapsed + ms
    for (;;) {
      const [first] = [...this.#timers].sort((one, other) => one.at - other.at)
      if (!first || first.at > until) break
      this.#timers.delete(first)
      this.#pass(Math.max(0, first.at - this.#elapsed))
      first.callback()
    }
    this.#pass(until - this.#elapsed)
  }

  /** Sets the wall clock, as an administrator would: timers do not notice. */
  set(now: string): void {
    this.#now = Date.parse(now)
  }

  get pending(): number {
    return this.#timers.size
  }

  /** Whether a timer waits for no time at all. */
  get isDue(): boolean {
    return [...this.#timers].some(({ at }) => at <= this.#elapsed)
  }

  #pass(ms: number): void {
    this.#elapsed += ms
    this.#now += ms
  }
}
