import { onAbort } from './abort.js'
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
    const cancel = clock.after(ms, () => {
      undo?.()
      resolve()
    })
    const undo =
      signal &&
      onAbort(signal, () => {
        cancel()
        reject(signal.reason)
      })
  })
}

/** `CallOptions` with the timeout in milliseconds. */
export interface CallLimits {
  readonly signal: AbortSignal | undefined
  readonly timeout: number | undefined
}

/** The same limits later on, less the time that has passed: for a call that is made of several. */
export function remaining(clock: Clock, { signal, timeout }: CallOptions): () => CallLimits {
  if (timeout === undefined) return () => ({ signal, timeout })
  const until = clock.monotonic() + toMilliseconds('timeout', timeout)
  return () => ({ signal, timeout: Math.max(0, Math.ceil(until - clock.monotonic())) })
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
  const undo = signal && onAbort(signal, () => controller.abort(signal.reason))
  const cancel =
    afterMs === undefined
      ? undefined
      : clock.after(afterMs, () => controller.abort(timedOut(operation, afterMs, tenant)))
  return {
    signal: controller.signal,
    done() {
      cancel?.()
      undo?.()
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
