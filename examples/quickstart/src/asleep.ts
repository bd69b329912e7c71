import type { TenantPool } from '@tenantbox/core'

/** Resolves once the boxes of all these tenants are in this state. */
export async function asleep(
  pool: TenantPool,
  tenants: readonly string[],
  state: 'paused' | 'stopped',
  signal: AbortSignal,
): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const check = () => {
      if (tenants.every((tenant) => pool.get(tenant)?.state === state)) resolve()
    }
    pool.on('transition', check, { signal })
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    check()
  })
}
