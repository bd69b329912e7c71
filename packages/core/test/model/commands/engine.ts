import fc from 'fast-check'
import { TenantBoxError } from '../../../src/index.js'
import type { DriverOperation } from '../../../src/testing/index.js'
import { sleep } from '../../../src/wait.js'
import type { World } from '../world.js'
import { Step } from './step.js'

const OPERATIONS: readonly DriverOperation[] = [
  'create',
  'start',
  'pause',
  'resume',
  'stop',
  'remove',
  'inspect',
  'find',
  'list',
  'watch',
  'prepare',
  'setAside',
  'restore',
  'dial',
  'logs',
  'open',
]

const anyCall = fc.record({
  operation: fc.constantFrom(...OPERATIONS),
  at: fc.constantFrom('before' as const, 'during' as const, 'after' as const),
})

/** What goes wrong between pool and engine. */
export const engineSteps: fc.Arbitrary<Step> = fc.oneof(
  fc.constantFrom('keep' as const, 'keep' as const, 'stop' as const).map(
    (boxes) =>
      new Step(
        `engine is lost(${boxes} boxes)`,
        (world) => {
          world.engine.down({ boxes })
          world.engineIsUp = false
        },
        (world) => world.engineIsUp,
      ),
  ),
  fc.constant(
    new Step(
      'engine is back',
      (world) => {
        world.engine.up()
        world.engineIsUp = true
      },
      (world) => !world.engineIsUp,
    ),
  ),
  fc.tuple(anyCall, fc.constantFrom('odd', 'unavailable'), fc.constantFrom(1, 1, 3)).map(
    ([{ operation, at }, kind, times]) =>
      new Step(`fail(${operation} ${at}, ${kind}, ${times})`, (world) =>
        world.fault(
          world.engine.faults.fail(operation, kind === 'odd' ? new EngineError() : unavailable(), {
            at,
            times,
          }),
        ),
      ),
  ),
  anyCall.map(
    ({ operation, at }) => new Step(`hang(${operation} ${at})`, (world) => hang(world, operation, at)),
  ),
  fc.constantFrom('straight' as const, 'late' as const, 'twice' as const, 'lost' as const).map(
    (way) =>
      new Step(`events go ${way}`, (world) => {
        world.eventWay = way
      }),
  ),
)

/** How long a driver waits for a call that is never answered, in milliseconds. */
const ANSWER_WITHIN = 8_000

/** The next call is not answered, which its driver notices by and by. */
function hang(
  { engine, clock, fault }: World,
  operation: DriverOperation,
  at: 'before' | 'during' | 'after',
): void {
  const { faults } = engine
  const stop = faults.intercept(async (call, moment) => {
    if (call.operation !== operation || moment !== at) return
    stop()
    await sleep(clock, ANSWER_WITHIN)
    throw unavailable()
  })
  fault(stop)
}

/** An answer of the engine that no driver knows what to make of. */
export class EngineError extends Error {
  constructor() {
    super('HTTP 500')
  }
}

function unavailable(): TenantBoxError<'ENGINE_UNAVAILABLE'> {
  return new TenantBoxError('ENGINE_UNAVAILABLE', 'The engine does not answer.', {
    endpoint: 'memory',
    hint: 'none',
  })
}
