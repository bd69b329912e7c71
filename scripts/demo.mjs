// npm run demo [-- <example>] [-- --chat]: builds and runs an example, by default the companion.
import { requireNode } from './setup/node-version.mjs'

// Whatever needs a newer Node is imported only once it is known to be there.
requireNode()
import('./demo/main.mjs').catch((error) => {
  console.error(error)
  process.exitCode = 1
})
