/** Enough for any test, and bounded for a server that runs for days. */
const KEPT = 20_000

/** The latest of what happened, the oldest first. */
export class Recent<T> {
  readonly #all: T[] = []

  get all(): readonly T[] {
    return this.#all
  }

  add(one: T): void {
    this.#all.push(one)
    if (this.#all.length > KEPT) this.#all.splice(0, KEPT / 2)
  }
}
