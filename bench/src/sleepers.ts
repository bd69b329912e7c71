import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ResolvedBoxSpec, slugOf, TenantPool } from '@tenantbox/core'
import { MemoryEngine } from '@tenantbox/core/testing'
import { print, processorMs } from './report.js'

const TENANTS = 100_000
const HEAP_LIMIT = 1024
const REAP_LIMIT_US = 10
const REAPS = 10_000

/** A great many known tenants, all asleep: what they cost in memory, and what a reap with nothing due costs. */
export async function sleepers(): Promise<void> {
  const dataDir = await mkdtemp(join(tmpdir(), 'tenantbox-bench-'))
  const engine = new MemoryEngine()
  const open = (): TenantPool =>
    new TenantPool({
      name: 'bench',
      driver: engine.driver(),
      dataDir,
      box: { image: 'agent:1' },
      idle: { removeAfter: '1d' },
    })
  try {
    const first = open()
    await first.start()
    await first.close()
    await makeStopped(engine, dataDir)
    const before = heap()
    const pool = open()
    const { adopted } = await pool.start()
    const each = (heap() - before) / adopted
    const reaps = async (): Promise<void> => {
      for (let i = 0; i < REAPS; i++) await pool.reap()
    }
    await reaps()
    const reapUs = ((await processorMs(reaps)) / REAPS) * 1000
    print(`${adopted} tenants with a stopped box each`, [
      {
        name: 'heap of one',
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
    await pool.close()
  } finally {
    await rm(dataDir, { recursive: true })
  }
}

/** As an earlier process would have left them. */
async function makeStopped(engine: MemoryEngine, dataDir: string): Promise<void> {
  const { name, owner } = JSON.parse(await readFile(join(dataDir, '.tenantbox', 'pool.json'), 'utf8'))
  const driver = engine.driver()
  await driver.open({ name, owner, dataDir })
  for (let i = 0; i < TENANTS; i++) {
    const tenant = `tenant-${i}`
    await driver.create({ tenant, slug: slugOf(tenant), spec: '0'.repeat(32) }, SPEC)
  }
  await driver.close()
}

const SPEC: ResolvedBoxSpec = {
  image: 'agent:1',
  command: undefined,
  env: {},
  limits: { memory: 512 * 1024 ** 2, cpus: 1, pids: 256, disk: undefined },
  network: 'none',
  transport: 'socket',
  healthcheck: false,
  user: undefined,
  stopGraceMs: 10_000,
  mounts: [],
  readOnlyRoot: true,
  tmp: 64 * 1024 ** 2,
}

function heap(): number {
  for (let i = 0; i < 3; i++) globalThis.gc?.()
  return process.memoryUsage().heapUsed
}
