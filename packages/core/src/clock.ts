/** Time as the pool sees it; a test brings its own (`testClock` of `@tenantbox/core/testing`). */
export interface Clock {
  /** Milliseconds since the epoch. May jump: the machine's clock can be set. */
  now(): number
  /** Milliseconds that only ever grow, for measuring. */
  monotonic(): number
  /**
   * Calls `callback` once after `ms` milliseconds, unless cancelled. A `background` timer does not keep the process alive.
   */
  after(ms: number, callback: () => void, options?: { background?: boolean }): CancelTimer
}

export type CancelTimer = () => void

/** Node clamps longer delays to 1 ms; a later deadline is reached in several steps. */
const LONGEST_DELAY = 2 ** 31 - 1

export const systemClock: Clock = {
  now: Date.now,
  monotonic: () => performance.now(),
  after(ms, callback, options) {
    let timer: NodeJS.Timeout
    const arm = (left: number): void => {
      const step = Math.min(left, LONGEST_DELAY)
      timer = setTimeout(() => (left > step ? arm(left - step) : callback()), step)
      if (options?.background) timer.unref()
    }
    arm(Math.max(0, ms))
    return () => clearTimeout(timer)
  },
}
