import { boxName, slugOf } from '../../../src/identity.js'
import { TENANTS } from '../conditions.js'
import type { KeptPromise } from './promise.js'

export const oneBox: KeptPromise = {
  title: '1 at most one live box per tenant',

  watch({ watchers, engine }, broken) {
    watchers.called.push(({ operation }) => {
      if (operation !== 'start' && operation !== 'create') return
      for (const tenant of TENANTS)
        if (engine.maxLive(tenant) > 1) broken(`${tenant} has had ${engine.maxLive(tenant)} live boxes`)
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
