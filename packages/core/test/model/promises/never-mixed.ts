import { LABELS, slugOf } from '../../../src/identity.js'
import type { KeptPromise } from './promise.js'

export const neverMixed: KeptPromise = {
  title: '2 two tenants never share anything',

  watch({ watchers, engine, strangers }, broken) {
    watchers.settled.push(({ what, tenant, outcome }) => {
      if (!what.startsWith('send ') || !('value' in outcome)) return
      const expected = `${tenant}: ${what.slice('send '.length)}`
      if (outcome.value !== expected)
        broken(`${tenant} was answered "${outcome.value}" instead of "${expected}"`)
    })
    watchers.called.push(({ operation, slug, box: id }) => {
      const box = engine.boxes.find((one) => one.id === id)
      if (!box || strangers.includes(box) || slug === undefined) return
      const { tenant, labels } = box
      if (slugOf(tenant) !== slug || labels[LABELS.tenant] !== tenant)
        broken(`${operation} of ${slug} went to a box of ${tenant}`)
    })
  },

  atRest({ gateway, engine }, broken) {
    const slugs = [...(gateway?.pool.list() ?? [])].map(({ slug }) => slug.toLowerCase())
    if (new Set(slugs).size < slugs.length) broken(`two tenants have one folder: ${slugs.join(', ')}`)
    const homes = engine.boxes.map(({ name }) => name.toLowerCase())
    if (new Set(homes).size < homes.length) broken(`two boxes have one name: ${homes.join(', ')}`)
  },
}
