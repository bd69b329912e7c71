import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TenantPool } from '@tenantbox/core'
import { MemoryEngine } from '@tenantbox/core/testing'
import { print } from './report.js'

const TENANTS = 100_000
const HEAP_LIMIT = 1024
const REAP_LIMIT_US = 10

/** A great many known tenants, all asleep: what they cost in memory, and what a reap with nothing due costs. */
export async function sleepers(): Promise<void> {
  const dataDir = await mkdtemp(join(tmpdir(), 'tenantbox-bench-'))
  const engine = new MemoryEngine()
  const pool = new TenantPool({ name: 'bench', driver: engine.driver(), dataDir, box: { image: 'agent:1' } })
  try {
    await pool.start()
    const before = heap()
    for (let i = 0; i < TENANTS; i++) await pool.stop(`tenant-${i}`)
    const each = (heap() - before) / TENANTS
    for (let i = 0; i < 10_000; i++) await pool.reap()
    const began = performance.now()
    for (let i = 0; i < 10_000; i++) await pool.reap()
    const reapUs = (performance.now() - began) / 10
    print(`${[...pool.list()].length} known tenants`, [
      {
        name: 'heap of one asleep',
        value: `${Math.round(each)} bytes`,
        target: `under ${HEAP_LIMIT} bytes`,
        met: each < HEAP_LIMIT,
      },
      {
        name: 'reap with none due',
        value: `${reapUs.toFixed(2)} µs`,
        target: `under ${REAP_LIMIT_US} µs`,
        met: reapUs < REAP_LIMIT_US,
      },
    ])
  } finally {
    await pool.close()
    await rm(dataDir, { recursive: true })
  }
}

function heap(): number {
  for (let i = 0; i < 3; i++) globalThis.gc?.()
  return process.memoryUsage().heapUsed
}
