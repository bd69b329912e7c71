import { isTenantBoxError } from '../../../src/index.js'
import type { Gateway } from '../gateway.js'
import type { KeptPromise } from './promise.js'

export const oneOwner: KeptPromise = {
  title: '7 one owner per data folder',

  watch({ watchers, gateways }, broken) {
    const owns = ({ pool, process, opened, closed }: Gateway): boolean =>
      opened && !process.killed && !closed && pool.stats().lock !== 'waiting'
    watchers.opened.push((gateway) => {
      for (const other of gateways)
        if (other !== gateway && owns(other)) broken('two processes own the folder at one time')
    })
    watchers.settled.push(({ what, gateway, outcome }) => {
      if (!('error' in outcome) || !isTenantBoxError(outcome.error, 'POOL_LOCKED')) return
      if (gateway.lock === 'wait') broken(`${what} was told POOL_LOCKED instead of waiting`)
    })
  },
}
