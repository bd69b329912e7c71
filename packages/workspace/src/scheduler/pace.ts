const MINUTE = 60_000

/** Lets so many pass in a minute, which begins with the first of them. */
export class Pace {
  #began = Number.NEGATIVE_INFINITY
  #passed = 0

  /** Lets one pass, or tells how many milliseconds are left until the next may. */
  pass(now: number, limit: number): number {
    // Also when the clock was set back by more than that.
    if (Math.abs(now - this.#began) >= MINUTE) {
      this.#began = now
      this.#passed = 0
    }
    if (this.#passed >= limit) return this.#began + MINUTE - now
    this.#passed++
    return 0
  }
}
