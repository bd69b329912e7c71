import type { Clock } from '@tenantbox/core'
import type { TestClock } from '@tenantbox/core/testing'

/** Lets time pass until the promise has settled; what takes real time meanwhile is given the event loop after each step. */
export async function passTimeUntil<T>(promise: Promise<T>, clock: TestClock, stepMs = 100): Promise<T> {
  let settled = false
  const done = (): void => {
    settled = true
  }
  promise.then(done, done)
  while (!settled) await clock.advance(stepMs)
  return promise
}

/** The system's clock, which a test can have leap forward: what is due by then is done at once. */
export function leapingClock(): Clock & { leap(ms: number): void } {
  let ahead = 0
  const timers = new Map<() => void, number>()
  const monotonic = (): number => performance.now() + ahead
  return {
    now: () => Date.now() + ahead,
    monotonic,
    after(ms, callback, options) {
      const fire = (): void => {
        cancel()
        callback()
      }
      const timer = setTimeout(fire, ms)
      if (options?.background) timer.unref()
      const cancel = (): void => {
        clearTimeout(timer)
        timers.delete(fire)
      }
      timers.set(fire, monotonic() + ms)
      return cancel
    },
    leap(ms) {
      ahead += ms
      for (const [fire, at] of [...timers]) if (at <= monotonic()) fire()
    },
  }
}
