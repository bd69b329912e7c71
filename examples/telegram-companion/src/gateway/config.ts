import { resolve } from 'node:path'
import type { ModelAccess } from './llm/llm-proxy.js'

export interface Config {
  readonly token: string
  readonly apiRoot: string | undefined
  readonly image: string
  readonly dataDir: string
  /** `dataDir` as the engine's machine names it, when this process runs in a container. */
  readonly hostDataDir: string | undefined
  readonly maxRunning: number
  readonly model: ModelAccess | undefined
}

/** The environment says something that cannot be used; the message says what to do. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
}

/** @throws ConfigError */
export function readConfig(env: NodeJS.ProcessEnv): Config {
  return {
    token: tokenOf(env.TELEGRAM_BOT_TOKEN),
    apiRoot: env.TELEGRAM_API_ROOT || undefined,
    image: env.COMPANION_IMAGE || 'companion-agent',
    dataDir: resolve(env.COMPANION_DATA_DIR || '.tenantbox-data'),
    hostDataDir: env.COMPANION_HOST_DATA_DIR || undefined,
    maxRunning: maxRunningOf(env.COMPANION_MAX_RUNNING || '50'),
    model: modelOf(env),
  }
}

function tokenOf(token: string | undefined): string {
  if (!token)
    throw new ConfigError(
      'There is no TELEGRAM_BOT_TOKEN. Ask @BotFather on Telegram for a bot, and set the token it gives you; or try without one: npm run demo -- --chat',
    )
  // Not shown: most of it may be right.
  if (!/^\d+:[\w-]+$/.test(token))
    throw new ConfigError('TELEGRAM_BOT_TOKEN is no token: it looks like 123456:ABC-DEF…')
  return token
}

function maxRunningOf(text: string): number {
  const count = Number(text)
  if (!Number.isSafeInteger(count) || count < 1)
    throw new ConfigError('COMPANION_MAX_RUNNING must be a whole number of boxes, 1 or more.')
  return count
}

/** @throws ConfigError */
export function modelOf(env: NodeJS.ProcessEnv): ModelAccess | undefined {
  const { OPENAI_BASE_URL, OPENAI_API_KEY, OPENAI_MODEL } = env
  if (!OPENAI_BASE_URL && !OPENAI_API_KEY) return undefined
  if (!OPENAI_MODEL)
    throw new ConfigError(
      'OPENAI_BASE_URL or OPENAI_API_KEY is set: set OPENAI_MODEL, too, to the name of the model.',
    )
  const baseUrl = (OPENAI_BASE_URL || 'https://api.openai.com/v1').replace(/\/+$/, '')
  if (!/^https?:\/\/./.test(baseUrl) || !URL.canParse(baseUrl))
    throw new ConfigError('OPENAI_BASE_URL must be an address such as https://api.openai.com/v1.')
  return { baseUrl, key: OPENAI_API_KEY || undefined, model: OPENAI_MODEL }
}
