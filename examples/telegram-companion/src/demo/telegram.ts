import { randomUUID } from 'node:crypto'
import type { IdleOptions, PoolOptions } from '@tenantbox/core'
import { BotApiServer } from '@tenantbox/telegram/testing'
import { type CompanionApp, companionApp } from '../gateway/app.js'
import type { ModelAccess } from '../gateway/llm/llm-proxy.js'

/** Where the agents run, and what of. */
export type Boxes = Pick<PoolOptions, 'driver' | 'box'>

export interface LocalOptions {
  readonly boxes: Boxes
  readonly dataDir: string
  readonly idle: IdleOptions
  /** @default the agents go by rules, offline */
  readonly model?: ModelAccess | undefined
  readonly signal: AbortSignal
}

export interface LocalCompanion extends AsyncDisposable {
  readonly telegram: BotApiServer
  readonly app: CompanionApp
}

/** The companion as it is, on a Telegram that is no further away than this machine. Its boxes end with it. */
export async function localCompanion(options: LocalOptions): Promise<LocalCompanion> {
  const { boxes, dataDir, idle, model, signal } = options
  const telegram = await BotApiServer.start()
  // Part of the boxes' names: two demos may run on one engine.
  const name = `demo${randomUUID().slice(0, 8)}`
  const pool: PoolOptions = { ...boxes, name, dataDir, idle, onClose: 'remove' }
  const app = companionApp({ token: telegram.token, apiRoot: telegram.url, pool, model, log: () => {} })
  const close = async (): Promise<void> => {
    await app.close()
    await telegram.close()
  }
  try {
    await app.start({ signal })
  } catch (error) {
    await close()
    throw error
  }
  return { telegram, app, [Symbol.asyncDispose]: close }
}
