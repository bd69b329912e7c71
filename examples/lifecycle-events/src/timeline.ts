import type { TenantPool } from '@tenantbox/core'

/** Prints what a pool tells, line by line with the milliseconds since now. Returns what ends it. */
export function timeline(pool: TenantPool, print: (line: string) => void): () => void {
  const start = performance.now()
  const line = (tenant: string, what: string) =>
    print(`${(performance.now() - start).toFixed(0).padStart(6)} ms  ${tenant.padEnd(8)}${what}`)

  const subscriptions = [
    pool.on('transition', ({ tenant, from, to, reason }) => line(tenant, `${from} -> ${to} (${reason})`)),
    pool.on('ready', ({ tenant, from, ms, phases }) => {
      const parts = Object.entries(phases).map(([phase, took]) => `${phase} ${took.toFixed(0)}`)
      line(tenant, `ready ${ms.toFixed(0)} ms after it was wanted, from ${from}: ${parts.join(', ')}`)
    }),
    pool.on('lease', ({ tenant, ms, outcome }) => line(tenant, `lease ${outcome} after ${ms.toFixed(0)} ms`)),
    pool.on('queue', ({ tenant, state, waiting }) => line(tenant, `${state} the queue: ${waiting} waiting`)),
    pool.on('engine', ({ state }) => line('', `the engine is ${state}`)),
    pool.on('warning', ({ tenant = '', code, message }) => line(tenant, `${code}: ${message}`)),
  ]
  return () => {
    for (const unsubscribe of subscriptions) unsubscribe()
  }
}
