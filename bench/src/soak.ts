// Not a bench: random traffic of many tenants, with faults, for minutes or for hours. It prints how the gateway does,
// and exits with 1 when something grows that should not. npm run soak -- [minutes] [tenants] [seed]
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type BoxSpec, TenantPool } from '@tenantbox/core'
import { docker } from '@tenantbox/core/docker'
import Docker from 'dockerode'
import { benchBox } from './raw-box.js'
import { Faults } from './soak-faults.js'
import { randomFrom } from './soak-random.js'
import { Traffic } from './soak-traffic.js'
import { Vitals } from './soak-vitals.js'

const NAME = 'soak'
/** Callers at a time. */
const CALLERS = 12
const SAMPLE_EVERY_MS = 5_000
const FAULT_EVERY_MS = 2_000
/** By then everything that the pool has open must be closed. */
const PATIENCE_MS = 10_000

const [minutes = 5, tenants = 200, seed = Date.now() % 1e9] = process.argv.slice(2).map(Number)
const box = benchBox('Soak')
if (box) await soak(box)

async function soak(box: BoxSpec): Promise<void> {
  console.log(`${tenants} tenants for ${minutes} min, seed ${seed}`)
  const random = randomFrom(seed)
  const engine = new Docker()
  const dataDir = await mkdtemp(join(tmpdir(), 'tenantbox-soak-'))
  const pool = new TenantPool({
    name: NAME,
    driver: docker(),
    dataDir,
    box: { ...box, stopGrace: '2s' },
    // Every tier and every queue is to be seen at work.
    idle: { pauseAfter: '3s', stopAfter: '8s', removeAfter: '40s' },
    capacity: { maxRunning: 24, minUptime: '1s' },
    timeouts: { wake: '30s', firstByte: '20s' },
  })
  const traffic = new Traffic(pool, tenants, random)
  const faults = new Faults(engine, NAME, random)
  const vitals = new Vitals(pool, engine, NAME)
  pool.on('warning', ({ code }) => traffic.count(`warning ${code}`))
  const ending = new AbortController()
  process.once('SIGINT', () => ending.abort())
  const timer = setTimeout(() => ending.abort(), minutes * 60_000)
  let healthy = false
  try {
    await pool.start()
    await Promise.all([
      ...Array.from({ length: CALLERS }, () => traffic.run(ending.signal)),
      faults.run(FAULT_EVERY_MS, ending.signal),
      vitals.run(SAMPLE_EVERY_MS, ending.signal, () => ({ ...traffic.totals, faults: faults.total })),
    ])
    healthy = vitals.verdict() && traffic.report() && faults.report()
  } finally {
    clearTimeout(timer)
    await pool.close({ boxes: 'remove' })
    await rm(dataDir, { recursive: true })
  }
  const left = await vitals.containers()
  if (left.length > 0) console.log(`LEFT BEHIND: ${left.map(({ name }) => name).join(' ')}`)
  process.exitCode = healthy && left.length === 0 ? 0 : 1
  // Not reached when nothing is left open, for then the process has ended.
  setTimeout(() => {
    console.log(`STILL OPEN: ${process.getActiveResourcesInfo().join(' ')}`)
    process.exit(1)
  }, PATIENCE_MS).unref()
}
