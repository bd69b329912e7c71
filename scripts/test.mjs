import { requireNode } from './setup/node-version.mjs'

// Whatever needs a newer Node is imported only once it is known to be there.
requireNode()
import('./test/main.mjs').catch((error) => {
  console.error(error)
  process.exitCode = 1
})
