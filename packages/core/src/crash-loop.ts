const FREE_ATTEMPTS = 3
const FIRST_MS = 1_000
const LONGEST_MS = 5 * 60_000
/** A box that lived this long did not fail at start: the count begins anew. */
export const STABLE_MS = 60_000

/**
 * How long the next start must wait after so many failures in a row, the last of them `sinceMs` ago: the first few are
 * free, then it doubles from a second to five minutes.
 */
export function crashBackoff(failures: number, sinceMs: number): number {
  if (failures < FREE_ATTEMPTS) return 0
  return Math.max(0, Math.min(LONGEST_MS, FIRST_MS * 2 ** (failures - FREE_ATTEMPTS)) - sinceMs)
}
