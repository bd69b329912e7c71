/** Lets one through in a while, of what somebody can bring about without end. */
export class Throttle {
  readonly #everyMs: number
  #last = Number.NEGATIVE_INFINITY
  #heldBack = 0

  constructor(everyMs: number) {
    this.#everyMs = everyMs
  }

  /** How many were held back since the last that was let through; `not now` for one that is held back, too. */
  pass(now: number): number | 'not now' {
    if (now - this.#last < this.#everyMs) {
      this.#heldBack++
      return 'not now'
    }
    const heldBack = this.#heldBack
    this.#last = now
    this.#heldBack = 0
    return heldBack
  }
}
