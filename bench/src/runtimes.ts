import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type BoxSpec, TenantPool } from '@tenantbox/core'
import { docker } from '@tenantbox/core/docker'
import Docker from 'dockerode'
import { benchBox } from './raw-box.js'
import { median } from './report.js'

const ROUNDS = 7
const REQUESTS = 300
const GVISOR = 'runsc'

/** What gVisor costs beside the engine's own runtime: starts and requests of the same agent. */
export async function runtimes(): Promise<void> {
  const box = benchBox('Runtimes')
  if (!box) return
  if (!(GVISOR in (await new Docker().info()).Runtimes)) {
    console.log(
      `\nRuntimes: left out. The engine has no runtime ${GVISOR}; set DOCKER_HOST to one that does.`,
    )
    return
  }
  const rows = { "the engine's own": await costs(box, undefined), gVisor: await costs(box, GVISOR) }
  console.log(`\nRuntimes, in milliseconds: medians of ${ROUNDS} wakes and of ${REQUESTS} requests`)
  console.table(rows)
}

async function costs(box: BoxSpec, runtime: string | undefined): Promise<Record<string, string>> {
  const dataDir = await mkdtemp(join(tmpdir(), 'tenantbox-bench-'))
  const pool = new TenantPool({ name: 'bench', driver: docker({ runtime }), dataDir, box })
  const times = { 'create to ready': [], 'from stopped': [], 'from paused': [], request: [] } as Record<
    string,
    number[]
  >
  const timed = async (what: string, work: () => Promise<unknown>): Promise<void> => {
    const began = performance.now()
    await work()
    times[what]?.push(performance.now() - began)
  }
  const ask = async (): Promise<unknown> => (await pool.fetch('one', '/healthz')).text()
  try {
    await pool.ensure('one')
    for (let round = 0; round < ROUNDS; round++) {
      await pool.remove('one')
      await timed('create to ready', () => pool.ensure('one'))
      await pool.stop('one')
      await timed('from stopped', () => pool.ensure('one'))
      await pool.pause('one')
      await timed('from paused', ask)
    }
    for (let i = 0; i < REQUESTS; i++) await timed('request', ask)
  } finally {
    await pool.close({ boxes: 'remove' })
    await rm(dataDir, { recursive: true })
  }
  return Object.fromEntries(
    Object.entries(times).map(([what, list]) => [what, median(list).toFixed(what === 'request' ? 2 : 0)]),
  )
}
