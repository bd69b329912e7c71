import type { DriverEvent } from './driver.js'
import type { BoxState } from './lifecycle.js'

/**
 * Whether an event tells of something that a box in this state should not have met: then the engine is asked. Events of
 * the pool's own doing and repeated ones agree with the state by the time they are looked at. What an earlier life met is
 * told late now and then, and cannot be told by its date: clocks are set back.
 */
export function contradicts({ type }: DriverEvent, state: BoxState): boolean {
  switch (type) {
    case 'started':
      return state === 'stopped' || state === 'absent'
    case 'died':
    case 'oom':
      return state === 'running' || state === 'paused'
    case 'paused':
      return state === 'running'
    case 'resumed':
      return state === 'paused'
    case 'renamed':
    case 'removed':
      return state !== 'absent'
  }
}
