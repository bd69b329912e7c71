import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { TenantPool } from '@tenantbox/core'
import { docker } from '@tenantbox/core/docker'
import Docker from 'dockerode'
import { benchBox, RawBox, specOf } from './raw-box.js'
import { against, median, print } from './report.js'

const ROUNDS = 15
/** The engine is still at work on a pause for a while after it has answered: who sleeps for so short a time waits for that. */
const ASLEEP_MS = 250

/** Wakes against bare dockerode calls and the same probe, by turns in the same run, with boxes of the same making. */
export async function wake(): Promise<void> {
  const box = benchBox('Wakes')
  if (!box) return
  const dataDir = await mkdtemp(join(tmpdir(), 'tenantbox-bench-'))
  const pool = new TenantPool({
    name: 'bench',
    driver: docker(),
    dataDir,
    box,
    idle: { stopAfter: false },
  })
  const engine = new Docker()
  try {
    await pool.ensure('pooled')
    await pool.ensure('raw')
    const spec = await specOf(engine, 'tbx-bench-raw')
    await pool.remove('raw')
    const raw = new RawBox(engine, { ...spec, name: 'tbx-bench-floor' }, join(dataDir, 'raw', 'run'))
    const times = { created: pair(), stopped: pair(), paused: pair() }
    for (let round = 0; round <= ROUNDS; round++) {
      await pool.remove('pooled')
      // By turns who goes first; the first round warms up.
      const runs = [
        async () => {
          times.created.pool.push(await timed(() => pool.ensure('pooled')))
          await pool.stop('pooled')
          times.stopped.pool.push(await timed(() => pool.ensure('pooled')))
          await pool.pause('pooled')
          await delay(ASLEEP_MS)
          times.paused.pool.push(await timed(async () => (await pool.fetch('pooled', '/healthz')).text()))
        },
        async () => {
          times.created.raw.push(await timed(() => raw.create()))
          await raw.stop()
          times.stopped.raw.push(await timed(() => raw.start()))
          await raw.pause()
          await delay(ASLEEP_MS)
          times.paused.raw.push(await timed(() => raw.resume()))
          await raw.remove()
        },
      ]
      for (const run of round % 2 ? runs.reverse() : runs) await run()
      if (round === 0)
        for (const one of Object.values(times)) for (const list of Object.values(one)) list.length = 0
    }
    const row = (name: string, { pool: ours, raw: bare }: Pair, atMost: number) =>
      against(name, median(ours), median(bare), atMost)
    print(
      `Wakes, median of ${ROUNDS}, to the agent's first answer, beside bare dockerode and the same probe`,
      [
        row('create to ready', times.created, 1.1),
        row('from stopped', times.stopped, 1.1),
        row('from paused', times.paused, 1.15),
      ],
    )
    const seen = await killedToSeen(pool, engine)
    print('A container killed from outside', [
      { name: 'seen after', value: `${seen.toFixed(0)} ms`, target: 'under 1000 ms', met: seen < 1000 },
    ])
  } finally {
    await pool.close({ boxes: 'remove' })
    await rm(dataDir, { recursive: true })
  }
}

/** The longest of some rounds: from the kill to the pool's event. */
async function killedToSeen(pool: TenantPool, engine: Docker): Promise<number> {
  let longest = 0
  for (let round = 0; round < ROUNDS; round++) {
    // A tenant of its own each time: one that dies young again and again is held back.
    const tenant = `killed-${round}`
    await pool.ensure(tenant)
    const seen = new Promise<void>((resolve) => pool.on('transition', () => resolve(), { once: true }))
    const killed = performance.now()
    await engine.getContainer(`tbx-bench-${tenant}`).kill()
    await seen
    longest = Math.max(longest, performance.now() - killed)
    await pool.remove(tenant)
  }
  return longest
}

interface Pair {
  readonly pool: number[]
  readonly raw: number[]
}

function pair(): Pair {
  return { pool: [], raw: [] }
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now()
  await work()
  return performance.now() - began
}
