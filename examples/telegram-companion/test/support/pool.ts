import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type PoolOptions, TenantPool } from '@tenantbox/core'
import { processDriver } from '@tenantbox/core/process'
import { onTestFinished } from 'vitest'

/** A pool of its own for a test, whose boxes are processes that run the agent of `folder`. */
export async function processPool(folder: string, options: Partial<PoolOptions> = {}): Promise<TenantPool> {
  const dataDir = await mkdtemp(join(tmpdir(), 'companion-'))
  const command = [process.execPath, join(folder, 'agent.mjs')]
  const pool = new TenantPool({
    name: `t${randomBytes(6).toString('hex')}`,
    driver: processDriver(),
    dataDir,
    onClose: 'remove',
    ...options,
    box: { image: 'none', command, ...options.box },
  })
  onTestFinished(async () => {
    await pool.close()
    await rm(dataDir, { recursive: true })
  })
  return pool
}
