// npm run soak [-- <minutes> <tenants> <seed>]: random traffic with faults; prints how the gateway does over time.
import { requireNode } from './setup/node-version.mjs'

requireNode()
const { runBench } = await import('./bench/main.mjs')
await runBench('soak')
