import { asideName, boxName, slugOf } from '../../../src/identity.js'
import { TENANTS } from '../conditions.js'
import type { Gateway } from '../gateway.js'
import type { World } from '../world.js'
import type { KeptPromise } from './promise.js'

export const oneBox: KeptPromise = {
  title: '1 at most one live box per tenant',

  watch({ watchers, engine }, broken) {
    watchers.called.push(({ operation, box: id }, moment) => {
      if (operation !== 'start' && operation !== 'create') return
      for (const tenant of TENANTS)
        if (engine.maxLive(tenant) > 1) broken(`${tenant} has had ${engine.maxLive(tenant)} live boxes`)
      const box = engine.boxes.find((one) => one.id === id)
      if (operation === 'start' && moment === 'before' && box && isAside(box))
        broken(`${box.name} is started, and another could be made beside it`)
    })
    const leftAside = new Map<Gateway, Set<string>>()
    watchers.warning.push(({ code, tenant }, gateway) => {
      if (code !== 'REBUILD_NOT_ENDED' || tenant === undefined) return
      leftAside.set(gateway, new Set([...(leftAside.get(gateway) ?? []), tenant]))
    })
    watchers.settled.push(({ what, gateway, outcome }) => {
      if (what !== 'start' || 'error' in outcome) return
      for (const box of engine.boxes)
        if (isAside(box) && !leftAside.get(gateway)?.has(box.tenant))
          broken(`${box.name} was left aside by a process that has taken over`)
    })
    const queued = new Map<Gateway, Set<string>>()
    watchers.queue.push(({ tenant, state }, gateway) => {
      const waiting = queued.get(gateway) ?? new Set()
      queued.set(gateway, waiting)
      if (state === 'entered' && waiting.has(tenant)) broken(`two wakes of ${tenant} wait for room`)
      if (state === 'entered') waiting.add(tenant)
      else waiting.delete(tenant)
    })
  },

  atRest({ engine }, broken) {
    for (const tenant of TENANTS) {
      if (engine.maxLive(tenant) > 1) broken(`${tenant} has had ${engine.maxLive(tenant)} live boxes`)
      const names = engine.boxes.filter((box) => box.tenant === tenant).map(({ name }) => name)
      const expected = boxName('model', slugOf(tenant))
      if (names.length !== 1 || names[0] !== expected)
        broken(`${tenant} has the boxes [${names.join(', ')}] instead of ${expected}`)
    }
  },
}

/** Whether a rebuild has put it there, out of the way of the new one. */
function isAside({ name, tenant }: World['strangers'][number]): boolean {
  return tenant !== '' && name === asideName('model', slugOf(tenant))
}
