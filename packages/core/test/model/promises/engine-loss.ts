import { slugOf } from '../../../src/identity.js'
import { isTenantBoxError } from '../../../src/index.js'
import type { Gateway } from '../gateway.js'
import type { KeptPromise } from './promise.js'

const LONGEST_RETRY = 10_000
const EVERYBODY = '*'

export const engineLoss: KeptPromise = {
  title: '8 an engine that goes away is told of, retried, and waited for',

  watch({ watchers }, broken) {
    const last = new Map<Gateway, { state: string; attempt: number }>()
    /** Who has had an answer of the engine since it was lost or came back. */
    const asked = new Map<Gateway, Set<string | undefined>>()
    watchers.engine.push(({ state, attempt, retryIn }, gateway) => {
      const before = last.get(gateway)
      last.set(gateway, { state, attempt })
      if (before?.state !== state) asked.set(gateway, new Set())
      if (state === 'up') {
        if (before?.state !== 'down') broken('the engine came back without having been away')
        return
      }
      if (retryIn === undefined || retryIn <= 0 || retryIn > LONGEST_RETRY)
        broken(`it is tried again in ${retryIn} ms`)
      if (before?.state === 'down' && attempt !== before.attempt + 1)
        broken(`attempt ${attempt} comes after attempt ${before.attempt}`)
    })
    watchers.called.push(({ operation, slug }, moment) => {
      if (moment !== 'after') return
      for (const about of asked.values()) about.add(operation === 'list' ? EVERYBODY : slug)
    })
    watchers.settled.push(({ what, tenant, gateway, wasDown, outcome }) => {
      if (what !== 'ensure' || !wasDown || tenant === undefined || 'error' in outcome) return
      const about = asked.get(gateway)
      if (gateway.pool.stats().engine === 'down' && !about?.has(EVERYBODY) && !about?.has(slugOf(tenant)))
        broken(`${tenant} is said to be running, by what was known before the engine was lost`)
    })
    watchers.settled.push(({ what, tenant, wasOpen, outcome }) => {
      // A handle's operations are about one life and ask at once; so does the very first connection.
      if (!wasOpen || what === 'fetch' || !('error' in outcome)) return
      if (isTenantBoxError(outcome.error, 'ENGINE_UNAVAILABLE'))
        broken(`${what} of ${tenant} was told ENGINE_UNAVAILABLE instead of waiting`)
    })
  },

  atRest({ gateway }, broken) {
    if (gateway?.pool.stats().engine !== 'up') broken('the engine is back, and the pool has not noticed')
  },
}
