import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TenantPool } from '@tenantbox/core'
import { MemoryEngine } from '@tenantbox/core/testing'
import { type Figure, print, processorMs } from './report.js'

const RUNNING = 1_000

/** Calls that a gateway makes for every message: they must cost next to nothing, and no engine call. */
export async function hot(): Promise<void> {
  const dataDir = await mkdtemp(join(tmpdir(), 'tenantbox-bench-'))
  const engine = new MemoryEngine()
  const pool = new TenantPool({ name: 'bench', driver: engine.driver(), dataDir, box: { image: 'agent:1' } })
  try {
    const ids = Array.from({ length: RUNNING }, (_, i) => `tenant-${i}`)
    for (const id of ids) await pool.ensure(id)
    const calls = engine.calls()
    const figures: Figure[] = [
      await rate('ensure, awaited one by one', 1_000_000, 1_000_000, async (count) => {
        for (let i = 0; i < count; i++) await pool.ensure(ids[i % RUNNING] as string)
      }),
      await rate('touch', 5_000_000, 10_000_000, async (count) => {
        for (let i = 0; i < count; i++) pool.touch(ids[i % RUNNING] as string)
      }),
    ]
    print(`Hot path: ${RUNNING} running tenants, ${engine.calls() - calls} engine calls`, figures)
  } finally {
    await pool.close({ boxes: 'remove' })
    await rm(dataDir, { recursive: true })
  }
}

async function rate(
  name: string,
  atLeast: number,
  count: number,
  run: (count: number) => Promise<void>,
): Promise<Figure> {
  await run(count / 10)
  const perSecond = (count / (await processorMs(() => run(count)))) * 1000
  return {
    name,
    value: `${Math.round(perSecond).toLocaleString('en')}/s`,
    target: `at least ${atLeast.toLocaleString('en')}/s`,
    met: perSecond >= atLeast,
  }
}
