/** Values from many writers to one reader: what is pushed waits until it is read. */
export class EventStream<T> implements AsyncIterable<T> {
  readonly #values: T[] = []
  #wake: (() => void) | undefined
  #end: { error: unknown } | 'clean' | undefined

  push(value: T): void {
    if (this.#end) return
    this.#values.push(value)
    this.#wake?.()
  }

  /** What was pushed before is still read; then the iteration ends, or throws `failure.error`. Idempotent. */
  end(failure?: { error: unknown }): void {
    this.#end ??= failure ?? 'clean'
    this.#wake?.()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    for (;;) {
      for (let value = this.#values.shift(); value !== undefined; value = this.#values.shift()) yield value
      if (this.#end === 'clean') return
      if (this.#end) throw this.#end.error
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }
}
