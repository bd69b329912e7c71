import fc from 'fast-check'
import type { Tenant } from '../conditions.js'
import { type Step, served } from './step.js'

/** What somebody tells a pool to do with a box. */
export const orderSteps = (anyTenant: fc.Arbitrary<Tenant>): fc.Arbitrary<Step> => {
  const anyOrder = fc.record({
    tenant: anyTenant,
    leases: fc.constantFrom('wait', 'abort'),
    timeout: fc.constantFrom(undefined, 3_000),
  })
  return fc.oneof(
    anyOrder.map(({ tenant, ...options }) =>
      served(`pause(${tenant}, ${show(options)})`, (gateway, { callers }) =>
        callers.begin(gateway, 'pause', tenant, (signal) =>
          gateway.pool.pause(tenant, { ...options, signal }),
        ),
      ),
    ),
    anyOrder.map(({ tenant, ...options }) =>
      served(`stop(${tenant}, ${show(options)})`, (gateway, { callers }) =>
        callers.begin(gateway, 'stop', tenant, (signal) => gateway.pool.stop(tenant, { ...options, signal })),
      ),
    ),
    fc.tuple(anyOrder, fc.constantFrom('keep', 'delete')).map(([{ tenant, ...options }, data]) =>
      served(`remove(${tenant}, ${data}, ${show(options)})`, (gateway, { callers }) => {
        if (data === 'delete') callers.uses.forget(tenant)
        callers.begin(gateway, 'remove', tenant, async (signal) => {
          await gateway.pool.remove(tenant, { ...options, data, signal })
        })
      }),
    ),
    anyOrder.map(({ tenant, ...options }) =>
      served(`refresh(${tenant}, ${show(options)})`, (gateway, { callers }) =>
        callers.begin(gateway, 'refresh', tenant, (signal) =>
          gateway.pool.refresh(tenant, { ...options, signal }),
        ),
      ),
    ),
    fc.constant(
      served('reap()', (gateway, { callers }) =>
        callers.begin(gateway, 'reap', undefined, () => gateway.pool.reap()),
      ),
    ),
    fc.constantFrom('good:1', 'good:2', 'exits:1', 'mute:1').map((image) =>
      served(`release(${image})`, (gateway, world) => {
        world.image = image
        gateway.pool.update({ box: world.spec })
      }),
    ),
  )
}

function show({ leases, timeout }: { leases: string; timeout: number | undefined }): string {
  return `${leases} ${timeout}`
}
