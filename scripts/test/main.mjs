import { inSession } from '../setup/session.mjs'
import { step } from '../setup/terminal.mjs'
import { ENGINE_TESTS, engineTests } from './engine-tests.mjs'

const HELP = `
The tests need a Docker engine (20.10 or newer). Any of these helps:
  - start Docker, or point DOCKER_HOST at the unix socket of an engine on this machine
  - run as root on Debian or Ubuntu: an engine is downloaded into .cache and run from there, nothing is installed
  - leave out the tests that need one: TENANTBOX_NO_ENGINE=1 npm test`

await inSession({}, async ({ missing, run }) => {
  const args = process.argv.slice(2)
  const vitest = (/** @type {string[]} */ ...options) =>
    run('node', 'node_modules/vitest/vitest.mjs', 'run', ...options)
  if (missing === undefined) return vitest(...args)
  if (process.env.TENANTBOX_NO_ENGINE !== '1') {
    console.error(['\n✗ No Docker engine:', ...missing.map((reason) => `  - ${reason}`), HELP].join('\n'))
    return 1
  }
  const code = await vitest(...args, ...ENGINE_TESTS.flatMap((pattern) => ['--exclude', pattern]))
  step('Left out, as TENANTBOX_NO_ENGINE=1 is set and these need a Docker engine:')
  for (const file of engineTests()) console.log(`    ${file}`)
  return code
})
