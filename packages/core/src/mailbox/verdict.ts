import { isTenantBoxError } from '../errors.js'

const FIRST_MS = 1_000
const FACTOR = 4
const LONGEST_MS = 5 * 60_000

/** What becomes of a message after an attempt that failed. */
export type Verdict =
  | {
      readonly kind: 'retry'
      readonly retryIn: number
      /** Whether the attempt counts. */
      readonly counts: boolean
    }
  | { readonly kind: 'fail' }

/** An attempt that failed. */
export interface Failure {
  readonly error: unknown
  /** Counts from 1. */
  readonly attempt: number
  readonly maxAttempts: number
  /** Whether the handler had the tenant's box. */
  readonly hadBox: boolean
  /** Turns of this message in a row that did not count. */
  readonly refusals: number
}

/**
 * A message fails for good with its last attempt. An attempt for which there was no box to be had, or nothing else that
 * the handler needs, says nothing of the message, and does not count: it waits as long as it must.
 *
 * @param random from 0 to 1
 */
export function judge(failure: Failure, random: number): Verdict {
  const { error, attempt, maxAttempts, refusals } = failure
  const counts = !isRefusal(failure)
  if (counts && attempt >= maxAttempts) return { kind: 'fail' }
  const retryAfter = isTenantBoxError(error) ? (error.retryAfter ?? 0) : 0
  const retryIn = Math.max(retryAfter, backoff(counts ? attempt : refusals + 1, random))
  return { kind: 'retry', retryIn, counts }
}

function isRefusal({ error, hadBox }: Pick<Failure, 'error' | 'hadBox'>): boolean {
  if (isTenantBoxError(error, 'SERVICE_UNAVAILABLE')) return true
  return !hadBox && isTenantBoxError(error, 'CAPACITY', 'QUEUE_TIMEOUT', 'ENGINE_UNAVAILABLE')
}

/** Milliseconds before the next try after so many failures in a row: 1 s, 4 s, 16 s … 5 min, less up to half of it. */
export function backoff(failures: number, random: number): number {
  const longest = Math.min(LONGEST_MS, FIRST_MS * FACTOR ** (failures - 1))
  return Math.round(longest * (1 - random / 2))
}
