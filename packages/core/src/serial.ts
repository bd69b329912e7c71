/** Runs tasks one after the other, in the order they came. A task that fails does not stop the next. */
export class Serial {
  #last: Promise<unknown> = Promise.resolve()
  #pending = 0

  /** Whether a task runs or waits. */
  get busy(): boolean {
    return this.#pending > 0
  }

  run<T>(task: () => Promise<T>): Promise<T> {
    this.#pending++
    const result = this.#last.then(task).finally(() => {
      this.#pending--
    })
    // The caller gets the failure; here it only marks the end.
    this.#last = result.catch(() => undefined)
    return result
  }
}
