import { setImmediate } from 'node:timers/promises'
import fc, { type Scheduler } from 'fast-check'
import { callerSteps } from './commands/callers.js'
import { engineSteps } from './commands/engine.js'
import { meanwhileSteps } from './commands/meanwhile.js'
import { orderSteps } from './commands/orders.js'
import { outsideSteps } from './commands/outside.js'
import { begin, processSteps } from './commands/processes.js'
import type { Step } from './commands/step.js'
import { timeSteps } from './commands/time.js'
import { type Conditions, TENANTS } from './conditions.js'
import { PROMISES } from './promises/index.js'
import { comeToRest } from './rest.js'
import { World } from './world.js'

const anyTenant = fc.constantFrom(...TENANTS)

/** What may come next, with how often it does. */
export const STEPS: fc.Arbitrary<Step> = fc.oneof(
  { weight: 10, arbitrary: callerSteps(anyTenant) },
  { weight: 5, arbitrary: orderSteps(anyTenant) },
  { weight: 3, arbitrary: outsideSteps(anyTenant) },
  { weight: 3, arbitrary: engineSteps },
  { weight: 1, arbitrary: processSteps },
  { weight: 3, arbitrary: meanwhileSteps },
  { weight: 6, arbitrary: timeSteps },
)

/** One interleaving, from an empty machine to one that is put away. */
export async function runOnce(
  conditions: Conditions,
  scheduler: Scheduler,
  commands: Iterable<fc.AsyncCommand<World, World>>,
): Promise<void> {
  const world = new World(conditions, scheduler)
  for (const promise of PROMISES) promise.watch?.(world, (how) => world.break(promise.title, how))
  try {
    await fc.scheduledModelRun(
      scheduler,
      () => {
        begin(world)
        return { model: world, real: world }
      },
      commands,
    )
    await comeToRest(world)
  } finally {
    world.host.destroy()
    await setImmediate()
  }
}
