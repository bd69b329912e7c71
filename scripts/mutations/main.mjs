import { MUTATIONS } from './list.mjs'
import { tryAll } from './try-all.mjs'

// All of them show in memory.
process.env.TENANTBOX_NO_ENGINE = '1'
// What is found first is enough.
process.env.TENANTBOX_MODEL_SHRINK = 'no'
await tryAll(MUTATIONS, { what: 'mechanisms', words: process.argv.slice(2) })
