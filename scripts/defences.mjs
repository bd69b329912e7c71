import { requireNode } from './setup/node-version.mjs'

// npm run defences [-- <word>…]: takes one default after the other away and shows the test that notices.
requireNode()
import('./defences/main.mjs').catch((error) => {
  console.error(error)
  process.exitCode = 1
})
