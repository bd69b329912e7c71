import fc from 'fast-check'
import type { Gateway } from '../gateway.js'
import type { World } from '../world.js'
import { Step, served } from './step.js'

export const crash = served('crash', (gateway, world) => {
  gateway.crash()
  handOver(world, gateway)
})

/** What becomes of the processes. */
export const processSteps: fc.Arbitrary<Step> = fc.oneof(
  fc.constant(crash),
  {
    weight: 3,
    arbitrary: fc.constant(
      new Step(
        'start',
        (world) => begin(world),
        (world) => world.gateway === undefined,
      ),
    ),
  },
  fc.constantFrom('fail' as const, 'wait' as const).map(
    (lock) =>
      new Step(
        `second process(${lock})`,
        (world) => {
          world.second = world.spawn(lock)
          world.second.start()
        },
        (world) => world.gateway?.opened === true && world.second === undefined,
      ),
  ),
  fc
    .tuple(fc.constantFrom('keep' as const, 'stop' as const, 'remove' as const), fc.constantFrom(0, 5_000))
    .map(([boxes, drain]) =>
      served(`close(${boxes}, ${drain})`, (gateway, world) => {
        gateway.close({ boxes, drain })
        handOver(world, gateway)
      }),
    ),
)

export function begin(world: World): void {
  world.gateway = world.spawn()
  world.gateway.start()
}

/** Whoever stands by is next. */
function handOver(world: World, gone: Gateway): void {
  if (gone.process.killed) world.callers.drop(gone)
  world.gateway = world.second
  world.second = undefined
}
