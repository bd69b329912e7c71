import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { docker } from '@tenantbox/core/docker'
import type Docker from 'dockerode'
import { afterAll, beforeAll, expect, onTestFinished } from 'vitest'
import { type PoolOptions, TenantPool } from '../../src/index.js'
import { type ImageFile, importImage, toolFiles } from '../docker/image.js'
import { engine, leftovers } from '../docker/world.js'

export { engine }

/** An image with this machine's node and the test agent, there for the tests of one file. */
export function useAgentImage(): string {
  const name = `tenantbox-test:${randomBytes(6).toString('hex')}`
  beforeAll(() => importAgentImage(engine, name))
  afterAll(() => engine.getImage(name).remove({ force: true }))
  return name
}

export async function importAgentImage(client: Docker, name: string): Promise<void> {
  const files = [...toolFiles(), ...nodeFiles()]
  const unique = new Map(files.map((file) => [file.path, file]))
  await importImage(client, name, [...unique.values()], ['CMD ["/bin/node", "/app/agent.mjs"]'])
}

function nodeFiles(): ImageFile[] {
  const libraries = execFileSync('ldd', [process.execPath], { encoding: 'utf8' })
  return [
    { path: 'bin/node', content: readFileSync(process.execPath), mode: 0o755 },
    ...[...libraries.matchAll(/(\/\S+) \(0x/g)].map(([, path = '']) => ({
      path: path.slice(1),
      content: readFileSync(path),
      mode: 0o755,
    })),
    { path: 'app/agent.mjs', content: readFileSync(new URL('agent.mjs', import.meta.url)) },
  ]
}

export interface World {
  readonly name: string
  readonly dataDir: string
  readonly pool: TenantPool
  /** Another pool of the same name and folder, as after a restart. */
  again(options?: Partial<PoolOptions>): TenantPool
}

/** A pool on the real engine, which leaves nothing there when its test is over. */
export async function world(image: string, options: Partial<PoolOptions> = {}): Promise<World> {
  const name = `t${randomBytes(6).toString('hex')}`
  const dataDir = await mkdtemp(join(tmpdir(), 'tenantbox-engine-'))
  const pools: TenantPool[] = []
  const again = (more: Partial<PoolOptions> = {}): TenantPool => {
    const pool = new TenantPool({ name, driver: docker(), dataDir, box: { image }, ...options, ...more })
    pools.push(pool)
    return pool
  }
  onTestFinished(async () => {
    for (const pool of pools) await pool.close({ boxes: 'keep', drain: 0 })
    const cleaner = again({ idle: {}, perTenant: undefined })
    await cleaner.start()
    await cleaner.close({ boxes: 'remove', drain: 0 })
    await rm(dataDir, { recursive: true, force: true })
    expect(await leftovers(name)).toEqual([])
  })
  return { name, dataDir, pool: again(), again }
}

/** The containers of a pool as the engine sees them. */
export async function containers(pool: string): Promise<{ name: string; state: string }[]> {
  const filters = { label: [`dev.tenantbox.pool=${pool}`] }
  const found = await engine.listContainers({ all: true, filters })
  return found
    .map(({ Names, State }) => ({ name: Names[0] ?? '', state: State }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}
