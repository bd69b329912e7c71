import type { EngineConnection } from './engine.js'
import { isTenantBoxError } from './errors.js'

/**
 * Says of each failure of one request to an agent whether it may be made again: only if nothing of it can have left.
 * Whoever leases again has the box woken again, which waits for an engine that is away, and finds out why an agent is.
 */
export function repeatUnsent(engine: Pick<EngineConnection, 'lost'>): (error: unknown) => boolean {
  let agentWasGone = false
  return (error) => {
    // The engine has a part in dialling only.
    if (isTenantBoxError(error, 'ENGINE_UNAVAILABLE')) {
      engine.lost(error)
      return true
    }
    if (agentWasGone || !isTenantBoxError(error, 'AGENT_FAILED') || error.details.sent) return false
    agentWasGone = true
    return true
  }
}
