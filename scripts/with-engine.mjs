// npm run engine -- <command>: runs it with DOCKER_HOST set to an engine, which is gone afterwards if it was started for it.
import { requireNode } from './setup/node-version.mjs'

requireNode()
const { inSession } = await import('./setup/session.mjs')
const { SetupError } = await import('./setup/terminal.mjs')

await inSession({}, ({ missing, run }) => {
  if (missing) throw new SetupError(`No Docker engine: ${missing.join('; ')}`)
  return run(...(process.argv.length > 2 ? process.argv.slice(2) : [process.env.SHELL ?? 'sh']))
})
