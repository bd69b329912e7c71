import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TenantPool } from '@tenantbox/core'
import { docker } from '@tenantbox/core/docker'
import Docker from 'dockerode'
import { benchBox } from './raw-box.js'
import { median, print } from './report.js'

const BOXES = 500
const ROUNDS = 5
const ALLOWANCE_MS = 100
const AT_MOST = 1.3

/** Taking over many stopped boxes, beside the bare listing of them. */
export async function adopt(): Promise<void> {
  const box = benchBox('Adoption')
  if (!box) return
  const dataDir = await mkdtemp(join(tmpdir(), 'tenantbox-bench-'))
  const open = (): TenantPool => new TenantPool({ name: 'benchadopt', driver: docker(), dataDir, box })
  const engine = new Docker()
  try {
    await makeStopped(open())
    const listings: number[] = []
    const starts: number[] = []
    for (let round = 0; round < ROUNDS; round++) {
      const filters = { label: ['dev.tenantbox.pool=benchadopt'] }
      const listing = performance.now()
      await engine.listContainers({ all: true, filters })
      listings.push(performance.now() - listing)
      const pool = open()
      const starting = performance.now()
      const { adopted } = await pool.start()
      starts.push(performance.now() - starting)
      if (adopted !== BOXES) throw new Error(`adopted ${adopted}, not ${BOXES}`)
      await pool.close()
    }
    const limit = AT_MOST * median(listings) + ALLOWANCE_MS
    print(`Adoption of ${BOXES} stopped boxes, median of ${ROUNDS}`, [
      {
        name: 'start',
        value: `${median(starts).toFixed(0)} ms`,
        floor: `${median(listings).toFixed(0)} ms`,
        ratio: median(starts) / median(listings),
        target: `at most ${AT_MOST}x + ${ALLOWANCE_MS} ms = ${limit.toFixed(0)} ms`,
        met: median(starts) <= limit,
      },
    ])
  } finally {
    const cleaner = open()
    await cleaner.start()
    await cleaner.close({ boxes: 'remove' })
    await rm(dataDir, { recursive: true })
  }
}

async function makeStopped(pool: TenantPool): Promise<void> {
  for (let i = 0; i < BOXES; i += 20)
    await Promise.all(
      Array.from({ length: Math.min(20, BOXES - i) }, async (_, j) => {
        const tenant = `tenant-${i + j}`
        await pool.ensure(tenant)
        await pool.stop(tenant)
      }),
    )
  await pool.close()
}
