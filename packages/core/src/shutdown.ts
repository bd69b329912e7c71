import { orAbort } from './abort.js'
import type { Clock } from './clock.js'
import type { Sleeper } from './sleep.js'
import type { Tenant } from './tenant.js'
import type { Tenants } from './tenants.js'
import { deadline } from './wait.js'
import type { WarningCode } from './warnings.js'

/** What putting everything away needs of the pool. */
export interface ShutdownHost {
  readonly clock: Clock
  readonly sleeper: Pick<Sleeper, 'onRequest'>
  readonly tenants: Pick<Tenants, 'known'>
  warn(code: WarningCode, message: string, about: { tenant: string; cause?: unknown }): void
}

/**
 * Ends wakes at once, lets leases end by themselves for `drainMs`, aborts the rest with `reason`, and leaves the boxes
 * as told. New leases must be refused already.
 */
export async function putAway(
  host: ShutdownHost,
  reason: Error,
  boxes: 'keep' | 'stop' | 'remove',
  drainMs: number,
): Promise<void> {
  const tenants = [...host.tenants.known()]
  for (const { flight } of tenants) flight?.abort(reason)
  await drain(host, drainMs)
  for (const { life } of tenants) for (const lease of [...(life?.leases ?? [])]) lease.end('aborted', reason)
  await Promise.all(tenants.map((tenant) => leave(host, tenant, boxes)))
}

/** Ends one thing after the other, whatever becomes of those before it. @throws the first failure */
export async function endAll(steps: readonly (() => Promise<unknown>)[]): Promise<void> {
  const failures: unknown[] = []
  for (const step of steps)
    try {
      await step()
    } catch (error) {
      failures.push(error)
    }
  if (failures.length > 0) throw failures[0]
}

async function drain(host: ShutdownHost, ms: number): Promise<void> {
  const leased = [...host.tenants.known()].filter((tenant) => tenant.leases > 0)
  if (ms === 0 || leased.length === 0) return
  const quiet = leased.map((tenant) => tenant.whenQuiet())
  const bound = deadline(host.clock, 'close', { timeout: ms })
  // Whoever is not done in time is aborted: that is what a drain time means.
  await orAbort(Promise.all(quiet), bound.signal).catch(() => undefined)
  bound.done()
}

async function leave(host: ShutdownHost, tenant: Tenant, boxes: 'keep' | 'stop' | 'remove'): Promise<void> {
  await tenant.flight?.settled
  // What goes on under the lock is brought to its end in any case.
  if (boxes === 'keep' || !tenant.box) return tenant.serial.run(async () => undefined)
  try {
    await host.sleeper.onRequest(tenant, boxes, 'shutdown', {
      leases: 'abort',
      signal: new AbortController().signal,
    })
  } catch (cause) {
    host.warn(
      'NOT_PUT_DOWN',
      `Tenant ${JSON.stringify(tenant.id)}'s box could not be left as asked (${boxes}).`,
      {
        tenant: tenant.id,
        cause,
      },
    )
  }
}
