import fc from 'fast-check'
import type { Tenant } from '../conditions.js'
import { Step, served } from './step.js'

const anyTimeout = fc.constantFrom(undefined, undefined, 3_000, 30_000)

/** What callers want of a pool, and when they have enough. */
export const callerSteps = (anyTenant: fc.Arbitrary<Tenant>): fc.Arbitrary<Step> =>
  fc.oneof(
    fc
      .tuple(anyTenant, anyTimeout)
      .map(([tenant, timeout]) =>
        served(`ensure(${tenant}, ${timeout})`, (gateway, { callers }) =>
          callers.ensure(gateway, tenant, timeout),
        ),
      ),
    fc
      .tuple(anyTenant, anyTimeout)
      .map(([tenant, timeout]) =>
        served(`use(${tenant}, ${timeout})`, (gateway, { callers }) => callers.use(gateway, tenant, timeout)),
      ),
    fc.nat({ max: 5 }).map(
      (n) =>
        new Step(
          `finish(${n})`,
          ({ callers }) => pick([...callers.working], n)?.finish(),
          ({ callers }) => callers.working.size > 0,
        ),
    ),
    anyTenant.map((tenant) =>
      served(`send(${tenant})`, (gateway, { callers }) => callers.send(gateway, tenant)),
    ),
    anyTenant.map((tenant) => new Step(`fetch(${tenant})`, ({ callers }) => callers.fetch(tenant))),
    anyTenant.map((tenant) =>
      served(`touch(${tenant})`, (gateway, { callers }) => {
        if (gateway.pool.touch(tenant)) callers.used(tenant)
      }),
    ),
    fc.nat({ max: 5 }).map(
      (n) =>
        new Step(
          `give up(${n})`,
          ({ callers }) => pick([...callers.waiting], n)?.controller.abort(new GaveUp()),
          ({ callers }) => callers.waiting.size > 0,
        ),
    ),
  )

/** Why a caller no longer waits. */
export class GaveUp extends Error {
  constructor() {
    super('the caller gave up')
  }
}

function pick<T>(all: readonly T[], n: number): T | undefined {
  return all[n % all.length]
}
