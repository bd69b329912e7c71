import { findExtra } from '../setup/extras.mjs'
import { ROOT } from '../setup/paths.mjs'
import { inSession } from '../setup/session.mjs'
import { step } from '../setup/terminal.mjs'
import { impossibleTests } from './demands.mjs'

const HELP = `
The tests need a Docker engine (20.10 or newer). Any of these helps:
  - start Docker, or point DOCKER_HOST at the unix socket of an engine on this machine
  - run as root on Debian or Ubuntu: an engine is downloaded into .cache and run from there, nothing is installed
  - leave out the tests that need one: TENANTBOX_NO_ENGINE=1 npm test`

await inSession({ extras: true }, async ({ missing, run }) => {
  if (missing && process.env.TENANTBOX_NO_ENGINE !== '1') {
    console.error(['\n✗ No Docker engine:', ...missing.map((reason) => `  - ${reason}`), HELP].join('\n'))
    return 1
  }
  const there = {
    'a Docker engine': !missing,
    root: process.getuid?.() === 0,
    Chromium: findExtra('chromium') !== undefined,
  }
  const left = impossibleTests((need) => there[need])
  const exclude = left.flatMap(({ file }) => ['--exclude', file])
  const code = await run(
    'node',
    `${ROOT}/node_modules/vitest/vitest.mjs`,
    'run',
    ...process.argv.slice(2),
    ...exclude,
  )
  for (const { file, lacks } of left) step(`Left out, as it needs ${lacks}: ${file}`)
  return code
})
