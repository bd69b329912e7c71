import type { Clock } from './clock.js'
import { TenantBoxError } from './errors.js'
import { type Duration, toMilliseconds } from './units.js'

/** What every asynchronous call takes. */
export interface CallOptions {
  /** Gives this call up; what others wait for goes on. */
  signal?: AbortSignal | undefined
  /** Gives this call up with `TIMEOUT` after so long. @default none but the pool's own `timeouts` */
  timeout?: Duration | undefined
}

/** Resolves after `ms`; rejects with the signal's reason. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    const finish = (settle: () => void): void => {
      cancel()
      signal?.removeEventListener('abort', aborted)
      settle()
    }
    const aborted = (): void => finish(() => reject(signal?.reason))
    const cancel = clock.after(ms, () => finish(resolve))
    signal?.addEventListener('abort', aborted, { once: true })
  })
}

/** `promise`, or the signal's reason if that comes first. The promise goes on, unheard. */
export async function orAbort<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise
  promise.catch(() => undefined)
  signal.throwIfAborted()
  let aborted: (() => void) | undefined
  try {
    return await Promise.race([
      promise,
      new Promise<never>((_, reject) => {
        aborted = () => reject(signal.reason)
        signal.addEventListener('abort', aborted, { once: true })
      }),
    ])
  } finally {
    if (aborted) signal.removeEventListener('abort', aborted)
  }
}

/** A caller's signal and timeout as one signal; `done` must be called when the call has ended. */
export interface Deadline {
  readonly signal: AbortSignal
  done(): void
}

/** @throws TenantBoxError `INVALID_OPTION` for a timeout that is no duration */
export function deadline(
  clock: Clock,
  operation: string,
  options: CallOptions & { tenant?: string | undefined },
): Deadline {
  const controller = new AbortController()
  const { signal, timeout, tenant } = options
  const afterMs = timeout === undefined ? undefined : toMilliseconds('timeout', timeout)
  const aborted = (): void => controller.abort(signal?.reason)
  if (signal?.aborted) aborted()
  else signal?.addEventListener('abort', aborted, { once: true })
  const cancel =
    afterMs === undefined
      ? undefined
      : clock.after(afterMs, () => controller.abort(timedOut(operation, afterMs, tenant)))
  return {
    signal: controller.signal,
    done() {
      cancel?.()
      signal?.removeEventListener('abort', aborted)
    },
  }
}

export function timedOut(operation: string, afterMs: number, tenant?: string): TenantBoxError<'TIMEOUT'> {
  const whose = tenant === undefined ? '' : ` for tenant ${JSON.stringify(tenant)}`
  return new TenantBoxError(
    'TIMEOUT',
    `${operation}${whose} did not finish within ${afterMs} ms. Try again, or allow it a longer timeout.`,
    { operation, afterMs },
    { tenant },
  )
}

/** Aborts with whichever of two short-lived signals aborts first. */
export function either(one: AbortSignal, other: AbortSignal | undefined): AbortSignal {
  return other ? AbortSignal.any([one, other]) : one
}
