import { setImmediate } from 'node:timers/promises'
import type { Clock } from '../clock.js'

/** A timer that has not fired yet. */
export interface PendingTimer {
  /** Milliseconds from now. */
  readonly in: number
  readonly background: boolean
}

/** A clock that stands still until the test moves it. */
export interface TestClock extends Clock {
  /**
   * Lets `ms` milliseconds pass: every timer due until then fires, in order, at its own time, and what it sets off is
   * given the event loop before the next one fires. `advance(0)` only gives the event loop.
   */
  advance(ms: number): Promise<void>
  /** Sets the wall clock, forwards or backwards, as an administrator would: timers and `monotonic` go on undisturbed. */
  set(now: number): void
  /** Timers that have not fired yet, the next one first. Empty when nothing was leaked. */
  readonly pending: readonly PendingTimer[]
}

interface Timer {
  readonly at: number
  readonly callback: () => void
  readonly background: boolean
}

/** @param start What `now()` begins with, in milliseconds since the epoch. @default 2026-01-01T00:00:00Z */
export function testClock(start = Date.UTC(2026, 0, 1)): TestClock {
  const timers = new Set<Timer>()
  let elapsed = 0
  let wall = start

  const next = (): Timer | undefined => {
    let first: Timer | undefined
    // A Set keeps the order in which timers were set: of two due at the same time the older fires first.
    for (const timer of timers) if (!first || timer.at < first.at) first = timer
    return first
  }
  const pass = (to: number): void => {
    wall += Math.max(0, to - elapsed)
    elapsed = Math.max(elapsed, to)
  }

  return {
    now: () => wall,
    monotonic: () => elapsed,
    after(ms, callback, options) {
      const timer: Timer = {
        at: elapsed + Math.max(0, ms),
        callback,
        background: options?.background ?? false,
      }
      timers.add(timer)
      return () => timers.delete(timer)
    },
    async advance(ms) {
      const until = elapsed + ms
      await setImmediate()
      for (let timer = next(); timer && timer.at <= until; timer = next()) {
        timers.delete(timer)
        pass(timer.at)
        timer.callback()
        await setImmediate()
      }
      pass(until)
    },
    set(now) {
      wall = now
    },
    get pending() {
      return [...timers]
        .sort((one, other) => one.at - other.at)
        .map(({ at, background }) => ({ in: at - elapsed, background }))
    },
  }
}
