import { isTenantBoxError } from '../../../src/index.js'
import type { World } from '../world.js'
import type { KeptPromise } from './promise.js'

const OWN_ACCOUNT: readonly string[] = ['idle', 'evicted']

export const leased: KeptPromise = {
  title: '3 a leased box is never put to sleep on the pool’s own account',

  watch(world, broken) {
    world.watchers.transition.push(({ tenant, from, to, reason }, gateway) => {
      if (!OWN_ACCOUNT.includes(reason) || !['pausing', 'stopping', 'removing'].includes(to)) return
      if (isAtWork(world, gateway, tenant)) broken(`${tenant} is leased and goes ${from} -> ${to} (${reason})`)
    })
    world.watchers.called.push(({ operation, box }, moment) => {
      if (operation !== 'pause' || moment !== 'before') return
      for (const work of world.callers.working)
        if (!work.signal.aborted && world.engine.box(work.box.tenant)?.id === box && !work.gateway.process.killed)
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
function isAtWork({ callers, agents }: World, gateway: unknown, tenant: string): boolean {
  for (const work of callers.working)
    if (work.gateway === gateway && work.box.tenant === tenant && !work.signal.aborted) return true
  for (const turn of agents.turns)
    for (const call of callers.waiting)
      if (call.gateway === gateway && call.tenant === tenant && call.what === `send ${turn.text}`)
        if (!call.controller.signal.aborted) return true
  return false
}
