import { isLegal } from '../../../src/lifecycle.js'
import { toMessage } from '../../../src/text.js'
import type { Gateway } from '../gateway.js'
import type { KeptPromise } from './promise.js'

export const transitions: KeptPromise = {
  title: '4 transitions are serial, legal, and told once and in order',

  watch({ watchers }, broken) {
    const states = new Map<Gateway, Map<string, string>>()
    watchers.transition.push(({ tenant, from, to, reason, generation }, gateway) => {
      const known = states.get(gateway) ?? new Map<string, string>()
      states.set(gateway, known)
      const before = known.get(tenant) ?? 'absent'
      known.set(tenant, to)
      if (before !== from) broken(`${tenant} was ${before} and goes ${from} -> ${to}`)
      if (!isLegal(from, to, reason)) broken(`${tenant} goes ${from} -> ${to} (${reason})`)
      const info = gateway.pool.get(tenant)
      if (info && (info.state !== to || info.generation !== generation))
        broken(`${tenant} is ${info.state} (${info.generation}), and the event says ${to} (${generation})`)
    })
    watchers.called.push((_, moment) => {
      if (moment !== 'before') return
      for (const [gateway, known] of states)
        for (const [tenant, state] of gateway.process.killed ? [] : known) {
          const now = gateway.pool.get(tenant)?.state ?? 'absent'
          if (gateway.opened && !gateway.closing && now !== state)
            broken(`${tenant} is ${now}, and the last event said ${state}`)
        }
    })
    const bugs = /illegal transition|without a box|nothing to (start|rebuild)/
    watchers.warning.push(({ message, cause }) => {
      if (bugs.test(`${message} ${toMessage(cause)}`)) broken(`${message} ${toMessage(cause)}`)
    })
    watchers.settled.push(({ what, tenant, outcome }) => {
      if ('error' in outcome && bugs.test(toMessage(outcome.error)))
        broken(`${what} of ${tenant}: ${toMessage(outcome.error)}`)
    })
  },
}
