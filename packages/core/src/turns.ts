/**
 * Lets one through in each turn of the event loop. Whatever that one has done then, and however many wait, everybody
 * else's sockets and timers are seen to before the next.
 */
export class Turns {
  readonly #waiting: (() => void)[] = []
  #taken = false

  /** At once, when nobody was let through in this turn. */
  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve)
      if (!this.#taken) this.#pass()
    })
  }

  #pass(): void {
    const pass = this.#waiting.shift()
    this.#taken = pass !== undefined
    if (!pass) return
    setImmediate(() => this.#pass())
    pass()
  }
}
