/** All open requests of one tenant together have sent more than is held for it. */
export class TooManyBytes extends Error {
  override readonly name = 'TooManyBytes'

  constructor(most: number) {
    super(`the requests that are not answered yet have more than ${most} bytes`)
  }
}

/** Counts what the open requests of one tenant have sent so far, all together. */
export class PendingBytes {
  readonly #most: number
  #bytes = 0

  constructor(most: number) {
    this.#most = most
  }

  /**
   * For one request: `count` each chunk of its body, which throws `TooManyBytes` for the one that is too much, and
   * `release` them all once it is over.
   */
  open(): { count: (bytes: number) => void; release: () => void } {
    let own = 0
    let over = false
    return {
      count: (bytes) => {
        if (over) return
        if (this.#bytes + bytes > this.#most) throw new TooManyBytes(this.#most)
        own += bytes
        this.#bytes += bytes
      },
      release: () => {
        over = true
        this.#bytes -= own
        own = 0
      },
    }
  }
}
