/** Messages are answered one after the other, and each can be cancelled by its id. */
export class Turns {
  readonly #running = new Map<string, AbortController>()
  #last: Promise<void> = Promise.resolve()

  /** Waits its turn, then yields what `work` does, whose signal is aborted by `cancel`, `cancelAll` or `signal`. */
  async *take<T>(
    id: string,
    signal: AbortSignal,
    work: (signal: AbortSignal) => AsyncIterable<T>,
  ): AsyncGenerator<T> {
    const controller = new AbortController()
    const before = this.#last
    let over = () => {}
    this.#last = new Promise((resolve) => {
      over = resolve
    })
    this.#running.set(id, controller)
    try {
      await before
      yield* work(AbortSignal.any([signal, controller.signal]))
    } finally {
      if (this.#running.get(id) === controller) this.#running.delete(id)
      over()
    }
  }

  /** False when there is nothing to cancel. */
  cancel(id: string): boolean {
    const controller = this.#running.get(id)
    controller?.abort(new Error('Cancelled.'))
    return controller !== undefined
  }

  cancelAll(): void {
    for (const id of this.#running.keys()) this.cancel(id)
  }

  /** Resolves once all that has begun is over. */
  async idle(): Promise<void> {
    await this.#last
  }
}
