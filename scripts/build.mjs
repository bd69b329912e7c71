// npm run build: dist/ of every package that is published, where it is stale, with all that this takes.
import { requireNode } from './setup/node-version.mjs'

requireNode()
const { prepareClone } = await import('./setup/preparation.mjs')
const { printFailure, step } = await import('./setup/terminal.mjs')
const { PUBLISHED } = await import('./setup/workspace.mjs')

try {
  await prepareClone({ build: PUBLISHED }, { kind: 'none', reasons: [] }, new AbortController().signal)
  step(`Built: ${PUBLISHED.join(', ')}`)
} catch (error) {
  process.exitCode = 1
  printFailure(error)
}
