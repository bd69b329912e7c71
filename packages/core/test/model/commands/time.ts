import fc from 'fast-check'
import type { World } from '../world.js'
import { Step, served } from './step.js'

/** What clocks do. */
export const timeSteps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc
      .constantFrom(100, 1_000, 5_000, 11_000, 31_000, 61_000, 121_000, 301_000)
      .map((ms) => new Step(`time passes(${ms})`, ({ clock }) => clock.advance(ms))),
  },
  {
    weight: 1,
    arbitrary: fc.constant(
      new Step(
        'time passes until a box is due to sleep',
        async (world) => {
          await world.clock.advance(nextDue(world)?.in ?? 0)
        },
        (world) => nextDue(world) !== undefined,
      ),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.constant(
      served('a box is due to sleep, and is used', async (gateway, world) => {
        const due = nextDue(world)
        if (!due) return
        await world.clock.advance(due.in)
        // It may not serve any more by then.
        if (world.gateway === gateway) world.callers.use(gateway, due.tenant)
      }),
    ),
  },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom(60_000, 86_400_000)
      .map((ms) => new Step(`clock is set back(${ms})`, ({ clock }) => clock.set(clock.now() - ms))),
  },
)

/** Whose idle tier comes first in the process that serves, and in how many milliseconds. */
function nextDue({ gateway, clock }: World): { tenant: string; in: number } | undefined {
  const known = [...(gateway?.pool.list() ?? [])]
  const due = known.flatMap(({ tenant, dueAt }) =>
    dueAt === undefined ? [] : { tenant, in: Math.ceil(dueAt - clock.now()) },
  )
  return due.sort((one, other) => one.in - other.in)[0]
}
