import { tryAll } from '../mutations/try-all.mjs'
import { DEFENCES } from './list.mjs'

await tryAll(DEFENCES, { what: 'defences', words: process.argv.slice(2) })
