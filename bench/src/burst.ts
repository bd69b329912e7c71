import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TenantPool } from '@tenantbox/core'
import { docker } from '@tenantbox/core/docker'
import Docker from 'dockerode'
import { benchBox, RawBox, specOf } from './raw-box.js'
import { against, median, print } from './report.js'

const TENANTS = 40
const CONCURRENCIES = [2, 4, 8]
const ROUNDS = 9

/** Many new tenants at once, beside bare dockerode at the fixed number of starts at a time that suits this machine best. */
export async function burst(): Promise<void> {
  const box = benchBox('Burst')
  if (!box) return
  const dataDir = await mkdtemp(join(tmpdir(), 'tenantbox-bench-'))
  const pool = new TenantPool({ name: 'benchburst', driver: docker(), dataDir, box })
  const engine = new Docker()
  try {
    await pool.ensure('model')
    const spec = await specOf(engine, 'tbx-benchburst-model')
    const ours = { run: () => poolBurst(pool), took: [] as number[] }
    const bare = CONCURRENCIES.map((concurrency) => ({
      concurrency,
      run: () => rawBurst(engine, spec, dataDir, concurrency),
      took: [] as number[],
    }))
    const contenders = [ours, ...bare]
    for (const { run } of contenders) await run()
    // Each goes first in one of the rounds: an engine is still busy with what the one before it removed.
    for (let round = 0; round < ROUNDS; round++)
      for (let i = 0; i < contenders.length; i++) {
        const contender = contenders[(round + i) % contenders.length]
        contender?.took.push(await contender.run())
      }
    const [floor] = bare.sort((a, b) => median(a.took) - median(b.took))
    if (!floor) return
    print(
      `${TENANTS} new tenants at once, median of ${ROUNDS}; bare dockerode did best with ${floor.concurrency} at a time`,
      [against('all ready', median(ours.took), median(floor.took), 1.05)],
    )
  } finally {
    await pool.close({ boxes: 'remove' })
    await rm(dataDir, { recursive: true })
  }
}

async function poolBurst(pool: TenantPool): Promise<number> {
  const ids = Array.from({ length: TENANTS }, (_, i) => `tenant-${i}`)
  const began = performance.now()
  await Promise.all(ids.map((id) => pool.ensure(id)))
  const took = performance.now() - began
  await Promise.all(ids.map((id) => pool.remove(id, { data: 'delete' })))
  return took
}

async function rawBurst(
  engine: Docker,
  spec: Docker.ContainerCreateOptions,
  dataDir: string,
  concurrency: number,
): Promise<number> {
  const boxes: RawBox[] = []
  for (let i = 0; i < TENANTS; i++) {
    const root = join(dataDir, `.raw-${i}`)
    for (const folder of ['workspace', 'run', 'gateway', 'secrets'])
      await mkdir(join(root, folder), { recursive: true, mode: 0o777 })
    boxes.push(
      new RawBox(
        engine,
        { ...inFolder(spec, root), name: `tbx-benchburst-raw-${i}`, User: '0:0' },
        join(root, 'run'),
      ),
    )
  }
  const began = performance.now()
  const next = boxes.values()
  await Promise.all(
    Array.from({ length: concurrency }, async () => {
      for (const box of next) await box.create()
    }),
  )
  const took = performance.now() - began
  await Promise.all(boxes.map((box) => box.remove()))
  for (let i = 0; i < TENANTS; i++) await rm(join(dataDir, `.raw-${i}`), { recursive: true })
  return took
}

/** The same box with mounts of its own. */
function inFolder(spec: Docker.ContainerCreateOptions, root: string): Docker.ContainerCreateOptions {
  const Mounts = spec.HostConfig?.Mounts?.map((mount) => ({
    ...mount,
    Source: mount.Source.replace(/^.*\/(workspace|run|gateway|secrets)$/, `${root}/$1`),
  }))
  return { ...spec, HostConfig: { ...spec.HostConfig, Mounts } }
}
