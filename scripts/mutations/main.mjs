import { MUTATIONS } from './list.mjs'
import { tryAll } from './try-all.mjs'

// What is found first is enough.
process.env.TENANTBOX_MODEL_SHRINK = 'no'
await tryAll(MUTATIONS, { what: 'mechanisms', words: process.argv.slice(2) })
