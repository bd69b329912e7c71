// npm run companion: builds the companion and runs it on Telegram. Settings: examples/telegram-companion/README.md.
import { requireNode } from './setup/node-version.mjs'

// Whatever needs a newer Node is imported only once it is known to be there.
requireNode()
import('./companion/main.mjs').catch((error) => {
  console.error(error)
  process.exitCode = 1
})
