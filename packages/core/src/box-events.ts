import type { DriverEvent } from './driver.js'
import type { BoxState } from './lifecycle.js'

/**
 * Whether an event tells of something that a box in this state should not have met: then the engine is asked. Events of
 * the pool's own doing, late ones and repeated ones agree with the state by the time they are looked at.
 */
export function contradicts(event: DriverEvent, state: BoxState, startedAt: number | undefined): boolean {
  // An end from before this life began was another's.
  const ofThisLife = startedAt === undefined || event.at >= startedAt
  switch (event.type) {
    case 'started':
      return state === 'stopped' || state === 'absent'
    case 'died':
    case 'oom':
      return (state === 'running' || state === 'paused') && ofThisLife
    case 'paused':
      return state === 'running' && ofThisLife
    case 'resumed':
      return state === 'paused' && ofThisLife
    case 'renamed':
    case 'removed':
      return state !== 'absent'
  }
}
