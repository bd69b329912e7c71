import { setMaxListeners } from 'node:events'

/**
 * Calls `listener` when the signal aborts, at once if it has already; the returned function undoes it. An app may well
 * hand one signal to a thousand calls, which Node would take for a leak.
 */
export function onAbort(signal: AbortSignal, listener: () => void): () => void {
  if (signal.aborted) {
    listener()
    return () => undefined
  }
  setMaxListeners(0, signal)
  signal.addEventListener('abort', listener, { once: true })
  return () => signal.removeEventListener('abort', listener)
}

/** Aborts with whichever of two short-lived signals aborts first. */
export function either(one: AbortSignal, other: AbortSignal | undefined): AbortSignal {
  return other ? AbortSignal.any([one, other]) : one
}

/** `promise`, or the signal's reason if that comes first. The promise goes on, unheard. */
export async function orAbort<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise
  let undo = (): void => undefined
  const aborted = new Promise<never>((_, reject) => {
    undo = onAbort(signal, () => reject(signal.reason))
  })
  // Whichever loses is unheard.
  promise.catch(() => undefined)
  try {
    return await Promise.race([aborted, promise])
  } finally {
    undo()
  }
}
