/** The answer was ended on purpose: by `cancel()`, or by a message that interrupts. */
const CANCELLED = new DOMException('The answer was cancelled.', 'AbortError')

/** One answer that is being given. */
export interface RunningAnswer extends Disposable {
  /** Aborts when it is cancelled. */
  readonly signal: AbortSignal
}

/** Which answers are being given now. */
export class RunningAnswers {
  readonly #running = new Map<string, Set<AbortController>>()

  begin(tenant: string): RunningAnswer {
    const controller = new AbortController()
    const answers = this.#running.get(tenant) ?? new Set()
    this.#running.set(tenant, answers.add(controller))
    return {
      signal: controller.signal,
      [Symbol.dispose]: () => {
        answers.delete(controller)
        if (answers.size === 0 && this.#running.get(tenant) === answers) this.#running.delete(tenant)
      },
    }
  }

  /** Returns whether there was any. */
  cancel(tenant: string): boolean {
    const answers = this.#running.get(tenant)
    for (const controller of answers ?? []) controller.abort(CANCELLED)
    return answers !== undefined
  }
}
