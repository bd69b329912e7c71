import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TenantPool } from '@tenantbox/core'
import { docker } from '@tenantbox/core/docker'
import Docker from 'dockerode'
import { benchBox, specOf } from './raw-box.js'
import { median, print } from './report.js'

const BOXES = 500
const AT_A_TIME = 4
const ROUNDS = 9
const ALLOWANCE_MS = 100
const AT_MOST = 1.3
const FIRST = 'tenant-0'
const nameOf = (tenant: string): string => `tbx-benchadopt-${tenant}`

/** Taking over many stopped boxes, beside the bare listing of them. */
export async function adopt(): Promise<void> {
  const box = benchBox('Adoption')
  if (!box) return
  const dataDir = await mkdtemp(join(tmpdir(), 'tenantbox-bench-'))
  const open = (): TenantPool => new TenantPool({ name: 'benchadopt', driver: docker(), dataDir, box })
  const engine = new Docker()
  try {
    await makeFirst(open())
    await copyFirst(engine, dataDir)
    const listings: number[] = []
    const starts: number[] = []
    for (let round = 0; round <= ROUNDS; round++) {
      const filters = { label: ['dev.tenantbox.pool=benchadopt'] }
      const listing = performance.now()
      await engine.listContainers({ all: true, filters })
      const listed = performance.now() - listing
      const pool = open()
      const starting = performance.now()
      const { adopted } = await pool.start()
      const started = performance.now() - starting
      if (adopted !== BOXES) throw new Error(`adopted ${adopted}, not ${BOXES}`)
      await pool.close()
      // The first round warms up.
      if (round === 0) continue
      listings.push(listed)
      starts.push(started)
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

async function makeFirst(pool: TenantPool): Promise<void> {
  await pool.ensure(FIRST)
  await pool.close({ boxes: 'stop' })
}

/** All others, as the pool would have left them, but without waiting for as many starts and stops. */
async function copyFirst(engine: Docker, dataDir: string): Promise<void> {
  const spec = await specOf(engine, nameOf(FIRST))
  const { Labels } = (await engine.getContainer(nameOf(FIRST)).inspect()).Config
  const others = Array.from({ length: BOXES - 1 }, (_, i) => `tenant-${i + 1}`).values()
  await Promise.all(
    Array.from({ length: AT_A_TIME }, async () => {
      for (const tenant of others) {
        await cp(join(dataDir, FIRST), join(dataDir, tenant), {
          recursive: true,
          filter: (path) => !path.endsWith('.sock'),
        })
        const file = { version: 1, id: tenant, createdAt: new Date().toISOString() }
        await writeFile(join(dataDir, tenant, 'tenant.json'), JSON.stringify(file))
        await engine.createContainer({
          ...spec,
          name: nameOf(tenant),
          Labels: { ...Labels, 'dev.tenantbox.tenant': tenant },
        })
      }
    }),
  )
}
