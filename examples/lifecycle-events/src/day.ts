import type { TenantPool } from '@tenantbox/core'

/** A short day of three tenants, in a pool with room for two. */
export async function liveThrough(pool: TenantPool, signal: AbortSignal): Promise<void> {
  const say = (tenant: string) => pool.send(tenant, 'good morning', { signal }).text()
  // Both wake at the same time.
  await Promise.all([say('alice'), say('bob')])
  // No room for a third: the least recently active one makes room.
  await say('carol')
  // Awake: nothing but a lease.
  await say('carol')
  await pool.pause('carol', { signal })
  await say('carol')
  await pool.stop('carol', { signal })
  await say('alice')
}
