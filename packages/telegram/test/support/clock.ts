import type { TestClock } from '@tenantbox/core/testing'

/** Lets time pass until the promise has settled; what takes real time meanwhile is given the event loop. */
export async function passTimeUntil<T>(promise: Promise<T>, clock: TestClock): Promise<T> {
  let settled = false
  const done = (): void => {
    settled = true
  }
  promise.then(done, done)
  while (!settled) await clock.advance(100)
  return promise
}
