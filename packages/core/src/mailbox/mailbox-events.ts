/** All times are milliseconds; `at` is since the epoch. */
export interface MailboxEvents {
  /** A message is durable, or was known already. `depth`: how many of its tenant wait or have failed. */
  posted: { tenant: string; id: string; at: number; duplicate: boolean; depth: number }
  /** A message was handled, and the disk knows. */
  done: { tenant: string; id: string; at: number; attempt: number; queuedMs: number; handledMs: number }
  /** An attempt has failed, and the next comes in `retryIn`. */
  retry: { tenant: string; id: string; at: number; attempt: number; retryIn: number; cause: unknown }
  /** A message has failed for good, and lies in `failed/` until `retryFailed`. */
  failed: { tenant: string; id: string; at: number; attempts: number; cause: unknown }
}
