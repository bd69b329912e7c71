import { requireNode } from './setup/node-version.mjs'

// npm run mutations [-- <word>…]: takes one mechanism of the pool after the other away and shows the promise that breaks.
requireNode()
import('./mutations/main.mjs').catch((error) => {
  console.error(error)
  process.exitCode = 1
})
