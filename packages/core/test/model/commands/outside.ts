import fc from 'fast-check'
import { boxName, LABELS, slugOf } from '../../../src/identity.js'
import type { MemoryBox } from '../../../src/testing/index.js'
import type { Tenant } from '../conditions.js'
import type { World } from '../world.js'
import { Step } from './step.js'

/** What happens to boxes without their pool's doing. */
export const outsideSteps = (anyTenant: fc.Arbitrary<Tenant>): fc.Arbitrary<Step> =>
  fc.oneof(
    fc
      .record({ tenant: anyTenant, code: fc.constantFrom(0, 1, 137), oom: fc.boolean() })
      .map(({ tenant, code, oom }) =>
        toBox(`${oom ? 'out of memory' : 'die'}(${tenant})`, tenant, (box) => box.kill({ code, oom })),
      ),
    anyTenant.map((tenant) => toBox(`outside pause(${tenant})`, tenant, (box) => box.pause())),
    anyTenant.map((tenant) => toBox(`outside resume(${tenant})`, tenant, (box) => box.resume())),
    anyTenant.map((tenant) => toBox(`outside stop(${tenant})`, tenant, (box) => void box.stop(0))),
    anyTenant.map((tenant) => toBox(`outside start(${tenant})`, tenant, (box) => box.start())),
    anyTenant.map((tenant) => toBox(`outside remove(${tenant})`, tenant, (box) => box.remove())),
    fc
      .tuple(anyTenant, fc.boolean())
      .map(
        ([tenant, hangs]) =>
          new Step(`hang(${tenant}, ${hangs})`, ({ agents }) => agents.hang(tenant, hangs)),
      ),
    fc
      .tuple(anyTenant, fc.boolean())
      .map(
        ([tenant, busy]) => new Step(`busy(${tenant}, ${busy})`, ({ agents }) => agents.busy(tenant, busy)),
      ),
    fc
      .tuple(anyTenant, fc.constantFrom('name', 'labels'))
      .map(
        ([tenant, looks]) => new Step(`plant(${tenant}, ${looks})`, (world) => plant(world, tenant, looks)),
      ),
  )

/** Somebody with access to the engine does something to the box that goes by the tenant's name. */
function toBox(name: string, tenant: string, act: (box: MemoryBox) => void): Step {
  const find = ({ engine }: World): MemoryBox | undefined =>
    engine.boxes.find((box) => box.tenant === tenant && box.name === boxName('model', slugOf(tenant)))
  return new Step(
    name,
    (world) => {
      const box = find(world)
      if (box) act(box)
    },
    (world) => find(world) !== undefined,
  )
}

/** A stranger's box that looks like one of the pool's, in one respect and not in the other. */
function plant(world: World, tenant: string, looks: 'name' | 'labels'): void {
  const { engine, strangers } = world
  const own = engine.box(tenant)
  const name = boxName('model', slugOf(tenant))
  if (looks === 'name' ? engine.boxes.some((box) => box.name === name) : !own) return
  const labels = looks === 'labels' ? own?.labels : { [LABELS.pool]: 'model', [LABELS.tenant]: tenant }
  const stranger = engine.plant({ name: looks === 'name' ? name : `stranger-${strangers.length}`, labels })
  if (looks === 'labels') stranger.start()
  strangers.push(stranger)
}
