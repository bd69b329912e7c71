import fc from 'fast-check'
import { slugOf } from '../../../src/identity.js'
import { TENANTS, type Tenant } from '../conditions.js'
import { callerSteps } from './callers.js'
import { orderSteps } from './orders.js'
import { outsideSteps } from './outside.js'
import { crash } from './processes.js'
import { Step } from './step.js'

const CHANGES = ['create', 'start', 'pause', 'resume', 'stop', 'remove', 'setAside', 'restore']
const QUESTIONS = ['inspect after', 'find after', 'dial during', 'dial after', 'logs after']
const OTHERS = ['veto', 'perTenant', 'answer', 'event']

/**
 * What happens in the middle of something else that is done for the same tenant: in the very windows in which what was
 * checked may have changed. Points are called as `World.point` calls them.
 */
export const meanwhileSteps: fc.Arbitrary<Step> = fc.oneof(...TENANTS.map(meanwhile))

function meanwhile(tenant: Tenant): fc.Arbitrary<Step> {
  const anyChange = fc.tuple(fc.constantFrom(...CHANGES), fc.constantFrom('during', 'after'))
  const anyPoint = fc.oneof(
    { weight: 2, arbitrary: anyChange.map((words) => words.join(' ')) },
    { weight: 1, arbitrary: fc.constantFrom(...QUESTIONS, ...OTHERS) },
  )
  const anyDeed = fc.oneof(
    { weight: 3, arbitrary: callerSteps(fc.constant(tenant)) },
    { weight: 1, arbitrary: orderSteps(fc.constant(tenant)) },
    { weight: 4, arbitrary: outsideSteps(fc.constant(tenant)) },
    { weight: 1, arbitrary: fc.constant(crash) },
  )
  return fc.tuple(anyPoint, anyDeed).map(([words, deed]) => {
    const point = `${words} ${slugOf(tenant)}`
    return new Step(`at the next ${point}: ${deed}`, (world) => world.at(point, () => deed.happen(world)))
  })
}
