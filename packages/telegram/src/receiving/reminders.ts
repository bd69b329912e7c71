import type { Clock, TenantPool } from '@tenantbox/core'
import { type Due, Scheduler } from '@tenantbox/workspace'
import type { Warn } from '../common/warnings.js'

export interface RemindersOptions {
  readonly pool: TenantPool
  readonly stateDir: string
  readonly clock: Clock
  readonly warn: Warn
  /** Resolves once it is durable. */
  readonly post: (due: Due) => Promise<void>
}

/** Sees to the schedules of all tenants, sleeping ones too: each due becomes one message in its tenant's mailbox. */
export async function startReminders(options: RemindersOptions): Promise<{ close(): Promise<void> }> {
  const { pool, stateDir, clock, warn, post } = options
  const scheduler = new Scheduler({
    stateDir,
    clock,
    *tenants() {
      for (const { tenant, workspaceDir: dir } of pool.list()) yield { tenant, dir }
    },
    onDue: post,
    onProblem: ({ tenant, file, message }) =>
      warn('REMINDERS', `${file}${tenant && ` of tenant ${JSON.stringify(tenant)}`}: ${message}`, {
        ...(tenant && { tenant }),
      }),
  })
  const stopListening = pool.on('lease', ({ tenant }) => scheduler.refresh(tenant))
  try {
    await scheduler.start()
  } catch (error) {
    stopListening()
    throw error
  }
  return {
    async close() {
      stopListening()
      await scheduler.close()
    },
  }
}
