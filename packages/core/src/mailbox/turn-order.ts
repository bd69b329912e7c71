/** Who comes next: one turn of each at a time, so many at once in all, and those who wait in the order they came. */
export class TurnOrder<T> {
  readonly #atOnce: number
  readonly #ready = new Set<T>()
  readonly #running = new Set<T>()

  constructor(atOnce: number) {
    this.#atOnce = atOnce
  }

  /** Waits for its turn, at the end unless it waits already. One whose turn it is must come again after it. */
  enter(one: T): void {
    if (!this.#running.has(one)) this.#ready.add(one)
  }

  /** Begins the next turn; undefined when there is nobody, or no room. */
  begin(): T | undefined {
    if (this.#running.size >= this.#atOnce) return undefined
    const [next] = this.#ready
    if (next === undefined) return undefined
    this.#ready.delete(next)
    this.#running.add(next)
    return next
  }

  end(one: T): void {
    this.#running.delete(one)
  }

  has(one: T): boolean {
    return this.#running.has(one) || this.#ready.has(one)
  }
}
