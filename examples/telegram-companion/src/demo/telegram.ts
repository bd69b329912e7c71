import type { PoolOptions } from '@tenantbox/core'
import { BotApiServer } from '@tenantbox/telegram/testing'
import { type CompanionApp, companionApp } from '../gateway/app.js'

/** Where the agents run, and what of. */
export type Boxes = Pick<PoolOptions, 'driver' | 'box'>

export interface LocalCompanion extends AsyncDisposable {
  readonly telegram: BotApiServer
  readonly app: CompanionApp
}

/** The companion as it is, on a Telegram that is no further away than this machine. */
export async function localCompanion(
  pool: PoolOptions,
  options: { port?: number; signal: AbortSignal },
): Promise<LocalCompanion> {
  const telegram = await BotApiServer.start(options.port === undefined ? {} : { port: options.port })
  const app = companionApp({ token: telegram.token, apiRoot: telegram.url, pool, log: () => {} })
  const close = async (): Promise<void> => {
    await app.close()
    await telegram.close()
  }
  try {
    await app.start({ signal: options.signal })
  } catch (error) {
    await close()
    throw error
  }
  return { telegram, app, [Symbol.asyncDispose]: close }
}
