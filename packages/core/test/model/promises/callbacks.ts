import { isTenantBoxError, TenantBoxError } from '../../../src/index.js'
import { toMessage } from '../../../src/text.js'
import { GaveUp } from '../commands/callers.js'
import { EngineError } from '../commands/engine.js'
import { AppError } from '../gateway.js'
import type { KeptPromise } from './promise.js'

export const callbacks: KeptPromise = {
  title: '9 what the app’s callbacks throw breaks nothing',

  watch({ watchers, conditions }, broken) {
    watchers.settled.push(({ what, tenant, outcome }) => {
      if (!('error' in outcome)) return
      const { error } = outcome
      const appErrors =
        conditions.callbacks === 'throw' &&
        ['ensure', 'use', 'refresh', 'fetch'].includes(what.split(' ')[0] ?? '')
      if (error instanceof TenantBoxError || error instanceof GaveUp || error instanceof EngineError) return
      if (error instanceof AppError && (appErrors || what.startsWith('send'))) return
      broken(`${what} of ${tenant} failed with ${toMessage(error)}`)
    })
    watchers.warning.push(({ code, message, cause }) => {
      if (code === 'LISTENER_FAILED' && !(cause instanceof AppError)) broken(`${message} ${toMessage(cause)}`)
      if (isTenantBoxError(cause, 'INVALID_OPTION')) broken(message)
    })
  },
}
