import type { TestClock } from '../src/testing/index.js'

/** For what waits by turns for time and for real files: lets time pass until `promise` settles. */
export async function passTimeUntil<T>(promise: Promise<T>, clock: TestClock, stepMs = 100): Promise<T> {
  let settled = false
  const done = (): void => {
    settled = true
  }
  promise.then(done, done)
  while (!settled) await clock.advance(stepMs)
  return promise
}
