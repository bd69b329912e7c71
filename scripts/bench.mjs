// npm run bench [-- <bench>...]: what is promised of speed, measured on an engine that is found or started for it.
import { requireNode } from './setup/node-version.mjs'

requireNode()
const { runBench } = await import('./bench/main.mjs')
await runBench('main')
