import fc from 'fast-check'
import { it, vi } from 'vitest'
import { anyConditions } from './conditions.js'
import { runOnce, STEPS } from './run.js'

vi.mock('node:fs/promises', () => import('./files.js'))
vi.mock('../../src/unix-socket.js', () => import('./sockets.js'))
// The jitter of backoffs.
vi.spyOn(Math, 'random').mockReturnValue(0.5)
// What listeners of warnings throw.
vi.spyOn(process, 'emitWarning').mockReturnValue()

// Node itself reads the stack of every error that ends a stream, which costs more than all else here.
Error.stackTraceLimit = 0

const RUNS = Number(process.env.TENANTBOX_MODEL_RUNS ?? 2_000)
const [seed, path, replayPath] = (process.env.TENANTBOX_MODEL_REPLAY ?? '').split('/').map((part, i) => i === 2 ? part : part)

it('keeps every promise', { timeout: 1e9 }, async () => {
  const rp = process.env.RP
  await fc.assert(
    fc.asyncProperty(anyConditions, fc.scheduler(), fc.commands([STEPS], { maxCommands: 40, size: 'max', ...(rp ? { replayPath: rp } : {}) }), runOnce),
    { numRuns: RUNS, endOnFailure: process.env.FAST === '1', ...(process.env.SEED ? { seed: Number(process.env.SEED) } : {}), ...(process.env.P ? { path: process.env.P, endOnFailure: true } : {}) },
  )
})
