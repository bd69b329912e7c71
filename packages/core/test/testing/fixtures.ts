import type { BoxIdentity, Driver, PoolIdentity, ResolvedBoxSpec } from '../../src/driver.js'

export const POOL: PoolIdentity = { name: 'pool', owner: 'owner-1', dataDir: '/data' }

export const SPEC: ResolvedBoxSpec = {
  image: 'agent',
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

export function identityOf(tenant: string): BoxIdentity {
  return { tenant, slug: tenant, spec: 'spec-1' }
}

export async function opened<D extends Driver>(driver: D): Promise<D> {
  await driver.open(POOL)
  return driver
}

export async function all<T>(values: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const value of values) found.push(value)
  return found
}
