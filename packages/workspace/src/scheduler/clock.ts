/** Time as the scheduler sees it; a test brings its own. */
export interface Clock {
  /** Milliseconds since the epoch. May jump: the machine's clock can be set. */
  now(): number
  /** Calls `callback` once after `ms` milliseconds, unless the returned function is called before. */
  after(ms: number, callback: () => void): () => void
}

export const systemClock: Clock = {
  now: Date.now,
  after(ms, callback) {
    const timer = setTimeout(callback, ms)
    return () => clearTimeout(timer)
  },
}
