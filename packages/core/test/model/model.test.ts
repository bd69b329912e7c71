import fc from 'fast-check'
import { it, vi } from 'vitest'
import { anyConditions } from './conditions.js'
import { howToReplay, profileOf } from './profile.js'
import { runOnce, STEPS } from './run.js'

vi.mock('node:fs/promises', () => import('./files.js'))
vi.mock('../../src/unix-socket.js', () => import('./sockets.js'))
// The jitter of backoffs.
vi.spyOn(Math, 'random').mockReturnValue(0.5)
// What listeners of warnings throw.
vi.spyOn(process, 'emitWarning').mockReturnValue()
// Node itself reads the stack of every error that ends a stream, which costs more than all else here.
Error.stackTraceLimit = 0

/** The longest profile takes as long as it takes. */
const TIMEOUT = 6 * 60 * 60_000

it('the pool keeps every promise, whatever happens in whatever order', { timeout: TIMEOUT }, async () => {
  const { replayPath, ...profile } = profileOf(process.env)
  const anyCommands = fc.commands([STEPS], {
    maxCommands: 40,
    size: 'max',
    ...(replayPath === undefined ? {} : { replayPath }),
  })
  const outcome = await fc.check(
    fc.asyncProperty(anyConditions, fc.scheduler(), anyCommands, runOnce),
    profile,
  )
  if (!outcome.failed) return
  const report = await fc.asyncDefaultReportMessage(outcome)
  const { seed, counterexamplePath, errorInstance } = outcome
  throw new Error(
    `${report}\n\n${String(errorInstance)}\n\n${howToReplay(seed, counterexamplePath, report ?? '')}`,
  )
})
