import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ROOT } from '../setup/paths.mjs'
import { prepareClone } from '../setup/preparation.mjs'
import { printFailure } from '../setup/terminal.mjs'

const PACKAGE = '@tenantbox/example-telegram-companion'

try {
  // The engine is the machine's own: its boxes are to outlive this process.
  await prepareClone({ build: [PACKAGE] }, { kind: 'none', reasons: [] }, new AbortController().signal)
  await import(pathToFileURL(join(ROOT, 'examples/telegram-companion/dist/gateway/main.js')).href)
} catch (error) {
  process.exitCode = 1
  printFailure(error)
}
