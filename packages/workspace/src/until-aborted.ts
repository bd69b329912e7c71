/**
 * An iteration that waits for what may never come. Leaving the loop, or `outer`, aborts the signal it is given, so that
 * it ends at once even in the middle of a wait.
 */
export function untilAborted<T>(
  run: (signal: AbortSignal) => AsyncGenerator<T, void>,
  outer: AbortSignal | undefined,
): AsyncIterable<T> {
  return {
    [Symbol.asyncIterator]() {
      const own = new AbortController()
      const inner = run(outer ? AbortSignal.any([outer, own.signal]) : own.signal)
      return {
        next: () => inner.next(),
        return() {
          own.abort()
          return inner.return()
        },
      }
    },
  }
}
