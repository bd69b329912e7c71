import { isTenantBoxError } from '../../../src/index.js'
import type { Gateway } from '../gateway.js'
import type { World } from '../world.js'
import type { KeptPromise } from './promise.js'

const OWN_ACCOUNT: readonly string[] = ['idle', 'evicted']

export const leased: KeptPromise = {
  title: '3 a leased box is never put to sleep on the pool’s own account',

  watch(world, broken) {
    world.watchers.transition.push(({ tenant, from, to, reason }, gateway) => {
      if (!['pausing', 'stopping', 'removing'].includes(to)) return
      // Whoever tells the pool to put a box down waits for its leases, or has aborted them.
      const onOwnAccount = OWN_ACCOUNT.includes(reason)
      if (!onOwnAccount && reason !== 'requested' && reason !== 'drift') return
      if (isAtWork(world, gateway, tenant) || (onOwnAccount && isAnswering(world, gateway, tenant)))
        broken(`${tenant} is leased and goes ${from} -> ${to} (${reason})`)
    })
    world.watchers.called.push(({ operation, box }, moment) => {
      if (operation !== 'pause' || moment !== 'before') return
      for (const work of world.callers.working)
        if (
          !work.signal.aborted &&
          world.engine.box(work.box.tenant)?.id === box &&
          !work.gateway.process.killed
        )
          broken(`${work.box.tenant} is leased and is paused`)
    })
    world.watchers.settled.push(({ what, tenant, outcome }) => {
      if (what !== 'use' || !('error' in outcome)) return
      const { error } = outcome
      if (isTenantBoxError(error, 'STALE_BOX') && OWN_ACCOUNT.includes(error.details.reason))
        broken(`a lease on ${tenant} was ended: ${error.details.reason}`)
    })
  },
}

/** Whether somebody of this process has a lease on the tenant's box, as he sees it. */
function isAtWork({ callers }: World, gateway: Gateway, tenant: string): boolean {
  for (const work of callers.working)
    if (work.gateway === gateway && work.box.tenant === tenant && !work.signal.aborted) return true
  return false
}

/** Whether the tenant's agent is in the middle of an answer to somebody of this process. */
function isAnswering({ callers, agents }: World, gateway: Gateway, tenant: string): boolean {
  const asked = new Set<string>()
  for (const { text, tenant: whose } of agents.turns) if (whose === tenant) asked.add(`send ${text}`)
  for (const call of callers.waiting)
    if (call.gateway === gateway && asked.has(call.what) && !call.controller.signal.aborted) return true
  return false
}
