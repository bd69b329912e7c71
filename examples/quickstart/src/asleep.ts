import type { TenantPool } from '@tenantbox/core'

/** Resolves once this tenant's box is in that state. */
export async function asleep(
  pool: TenantPool,
  tenant: string,
  state: 'paused' | 'stopped',
  signal: AbortSignal,
): Promise<void> {
  if (pool.get(tenant)?.state === state) return
  await new Promise<void>((resolve, reject) => {
    const unsubscribe = pool.on('transition', (event) => {
      if (event.tenant !== tenant || event.to !== state) return
      unsubscribe()
      resolve()
    })
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}
