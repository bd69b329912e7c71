import type { Clock } from '@tenantbox/core'

export const systemClock: Clock = {
  now: Date.now,
  monotonic: () => performance.now(),
  after(ms, callback, options) {
    const timer = setTimeout(callback, ms)
    if (options?.background) timer.unref()
    return () => clearTimeout(timer)
  },
}

/** Seconds since the epoch, as Telegram writes dates. */
export function unixTime(clock: Clock): number {
  return Math.floor(clock.now() / 1000)
}
