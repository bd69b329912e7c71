import type { AgentEvent, AgentMessage } from './agent.js'
import { askUnder, type BoxHost, fetchUnder } from './box.js'
import type { EngineConnection } from './engine.js'
import { isTenantBoxError } from './errors.js'
import type { Leasing } from './leasing.js'
import type { FetchInit } from './tenant-box.js'
import type { Tenants } from './tenants.js'
import type { CallLimits } from './wait.js'

/** What requests to agents need of the pool. */
export interface RequestHost {
  readonly tenants: Pick<Tenants, 'get'>
  readonly leasing: Pick<Leasing, 'lease'> & Pick<BoxHost, 'answered' | 'failed' | 'clock'>
  readonly engine: Pick<EngineConnection, 'lost'>
}

/** An HTTP request to a tenant's agent, under a lease of its own. `left`: what is left of the caller's limits. */
export async function fetchFrom(
  host: RequestHost,
  tenant: string,
  path: string,
  init: FetchInit,
  left: () => CallLimits,
): Promise<Response> {
  const mayRepeat = repeatUnsent(host.engine)
  for (;;) {
    const lease = await host.leasing.lease(host.tenants.get(tenant), 'fetch', left())
    try {
      return await fetchUnder(lease, host.leasing, path, init)
    } catch (error) {
      // A stream may be half read already.
      if (init.body instanceof ReadableStream || !mayRepeat(error)) throw error
    }
  }
}

/** One message to a tenant's agent, under a lease of its own. `left`: what is left of the caller's limits. */
export async function* askOf(
  host: RequestHost,
  tenant: string,
  message: AgentMessage,
  left: () => CallLimits,
): AsyncIterable<AgentEvent> {
  const mayRepeat = repeatUnsent(host.engine)
  for (let answering = false; ; ) {
    const lease = await host.leasing.lease(host.tenants.get(tenant), 'send', left())
    try {
      for await (const event of askUnder(lease, host.leasing, message)) {
        answering = true
        yield event
      }
      return
    } catch (error) {
      if (answering || !mayRepeat(error)) throw error
    }
  }
}

/**
 * Says of each failure of one request to an agent whether it may be made again: only if nothing of it can have left.
 * Whoever leases again has the box woken again, which waits for an engine that is away, and finds out why an agent is.
 */
function repeatUnsent(engine: Pick<EngineConnection, 'lost'>): (error: unknown) => boolean {
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
