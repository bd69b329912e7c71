// npm run companion: the companion on Telegram, in containers.
import { isTenantBoxError } from '@tenantbox/core'
import { docker } from '@tenantbox/core/docker'
import { isTelegramError } from '@tenantbox/telegram'
import { type CompanionApp, companionApp } from './app.js'
import { type Config, ConfigError, readConfig } from './config.js'
import { codeOf, lineLog } from './log.js'

const log = lineLog(console.log)
const interrupted = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const)
  process.once(name, () => {
    log('shutting down', { signal: name })
    interrupted.abort(new Error(name))
  })

async function main(): Promise<void> {
  const config = readConfig(process.env)
  const app = companionApp({ ...config, log, pool: poolOptions(config) })
  const { signal } = interrupted
  try {
    await app.pool.start({ signal })
    await checkBox(app, config, signal)
    await app.start({ signal })
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
  } finally {
    await app.close()
  }
}

function poolOptions({ image, dataDir, hostDataDir, maxRunning }: Config) {
  return {
    name: 'companion',
    // An image of our own: whoever has its name at some registry has nothing to do with us.
    driver: docker({ hostDataDir, pull: 'never' }),
    dataDir,
    box: { image, limits: { memory: '256m', cpus: 0.5, pids: 64, disk: '256m' } },
    idle: { pauseAfter: '1m', stopAfter: '15m', removeAfter: '7d' },
    capacity: { maxRunning },
    // The next release waits here until this one has let go: see docs/deployment.md.
    lock: 'wait',
  } as const
}

/** A box that cannot be made is better known now than at somebody's first message. */
async function checkBox({ pool }: CompanionApp, { image }: Config, signal: AbortSignal): Promise<void> {
  const tenant = 'self-check'
  try {
    await pool.ensure(tenant, { signal })
  } catch (error) {
    if (isTenantBoxError(error, 'START_FAILED') && error.details.phase === 'pull')
      throw new ConfigError(
        `The engine has no image ${image}. Build it: docker build --target agent --tag ${image} --file examples/telegram-companion/Dockerfile .`,
      )
    throw error
  } finally {
    await pool.remove(tenant, { data: 'delete' })
  }
}

try {
  await main()
} catch (error) {
  if (!interrupted.signal.aborted) {
    process.exitCode = 1
    // Their messages say what to do, and hold neither the token nor what anybody said.
    const isClear = error instanceof ConfigError || isTenantBoxError(error) || isTelegramError(error)
    console.error(isClear ? `✗ ${error.message}` : `✗ ${codeOf(error)}`)
  }
}
