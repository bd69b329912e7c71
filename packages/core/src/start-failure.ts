import { isTenantBoxError, TenantBoxError } from './errors.js'
import type { Exit } from './lifecycle.js'
import type { Tenant } from './tenant.js'
import { toMessage } from './text.js'

export type StartPhase = TenantBoxError<'START_FAILED'>['details']['phase']

export function startFailed(
  tenant: Tenant,
  phase: StartPhase,
  exit: Exit,
  cause: unknown,
): TenantBoxError<'START_FAILED'> {
  const how = exit.oom
    ? 'it ran out of memory: raise box.limits.memory'
    : exit.code === undefined
      ? toMessage(cause)
      : `its process exited with code ${exit.code}: see details.lastLogs`
  return new TenantBoxError(
    'START_FAILED',
    `The box of tenant ${JSON.stringify(tenant.id)} did not come up (${phase}): ${how}`,
    { ...exit, phase },
    { tenant: tenant.id, cause },
  )
}

/** The driver's own errors and an abort as they are, `START_FAILED` in this phase for anything else. */
export async function inPhase<T>(tenant: Tenant, phase: StartPhase, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (isTenantBoxError(error) || (error instanceof Error && error.name === 'AbortError')) throw error
    throw startFailed(tenant, phase, { oom: false, lastLogs: [] }, error)
  }
}
