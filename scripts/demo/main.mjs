import { inSession } from '../setup/session.mjs'
import { printFailure, SetupError } from '../setup/terminal.mjs'

const NO_ISOLATION = `
!!!  NO ISOLATION  !!!
There is no Docker engine, so the agents of this demo run as mere processes of this machine: each can read the other's
files, and yours. That shows how a pool behaves, not what protects its tenants.`

/** @type {Readonly<Record<string, string>>} */
const DEMOS = {
  'telegram-companion': 'dist/demo/main.js',
  quickstart: 'dist/main.js',
  'lifecycle-events': 'dist/main.js',
}

const [first = '', ...others] = process.argv.slice(2)
const isNamed = first !== '' && !first.startsWith('-')
const example = isNamed ? first : 'telegram-companion'
const args = (isNamed ? others : [first, ...others]).filter((arg) => arg !== '')
// A browser on this machine is to find the page.
const network = args.includes('--chat') ? 'host' : 'private'

const program = DEMOS[example]

if (program === undefined) {
  process.exitCode = 1
  printFailure(new SetupError(`There is no demo ${example}. There are: ${Object.keys(DEMOS).join(', ')}.`))
} else {
  await inSession({ build: [`@tenantbox/example-${example}`], network }, ({ missing, image, run }) => {
    if (missing) console.error([NO_ISOLATION, ...missing.map((reason) => `  - ${reason}`), ''].join('\n'))
    return run('node', `examples/${example}/${program}`, ...(image ? [image] : []), ...args)
  })
}
