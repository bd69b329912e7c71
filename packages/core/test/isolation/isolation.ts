import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type DockerOptions, docker } from '@tenantbox/core/docker'
import Docker from 'dockerode'
import { afterAll, beforeAll, expect } from 'vitest'
import { LABELS } from '../../src/identity.js'
import { type PoolOptions, TenantPool } from '../../src/index.js'
import { importAttackerImage } from './image.js'
import { Inside } from './inside.js'

/** Where a suite's boxes run. */
export interface Place {
  /** The engine's unix socket. */
  readonly socketPath: string
  /** Options of the driver beyond the defaults; none but for what this place is about. */
  readonly driver?: DockerOptions
  /** An attacker's image that is there already. @default one is made, and removed in the end */
  readonly image?: string
}

/** A pool with default options, an attacker's box and another tenant's beside it. */
export interface Isolation {
  readonly pool: TenantPool
  readonly name: string
  readonly dataDir: string
  readonly image: string
  readonly engine: Docker
  readonly engineSocket: string
  /** The attacker. */
  readonly mallory: Inside
  /** Who shall notice nothing of it. */
  readonly victim: Inside
}

/** The suites' options: what a user would leave alone is left alone. */
export type IsolationOptions = Partial<Omit<PoolOptions, 'name' | 'driver' | 'dataDir' | 'box'>> & {
  readonly box?: Partial<PoolOptions['box']>
}

/** How dockerode reaches a socket, whatever DOCKER_HOST says. */
export const local = (socketPath: string) => ({ socketPath, host: undefined, port: undefined })

/** The engine that the tests were given. */
export async function givenEngine(): Promise<Place> {
  const host = process.env.DOCKER_HOST
  if (!host?.startsWith('unix://'))
    throw new Error(
      'These tests need a Docker engine on this machine: set DOCKER_HOST to its unix socket, or run them by `npm test`, which finds or starts one.',
    )
  return { socketPath: host.slice('unix://'.length) }
}

/** Sets all of it up for the tests of one file, and takes it down so that nothing is left. */
export function useIsolation(
  place: () => Promise<Place> = givenEngine,
  options: IsolationOptions = {},
): () => Isolation {
  const undo: (() => Promise<unknown>)[] = []
  let isolation: Isolation | undefined
  beforeAll(async () => {
    isolation = await setUp(await place(), options, undo)
  })
  afterAll(async () => {
    for (const step of undo.reverse()) await step()
  })
  return () => isolation ?? expect.fail('the set-up failed')
}

async function setUp(
  { socketPath, driver, ...given }: Place,
  { box, ...options }: IsolationOptions,
  undo: (() => Promise<unknown>)[],
): Promise<Isolation> {
  const engine = new Docker(local(socketPath))
  const name = `t${randomBytes(6).toString('hex')}`
  undo.push(() => assertNothingLeft(engine, name))
  const image = given.image ?? `tenantbox-test:${name}`
  if (!given.image) {
    await importAttackerImage(engine, image)
    undo.push(() => engine.getImage(image).remove({ force: true }))
  }
  const dataDir = await mkdtemp(join(tmpdir(), 'tenantbox-isolation-'))
  undo.push(() => rm(dataDir, { recursive: true, force: true }))
  const pool = new TenantPool({
    name,
    driver: docker({ socketPath, ...driver }),
    dataDir,
    box: { image, ...box },
    ...options,
  })
  undo.push(() => pool.close({ boxes: 'remove', drain: 0 }))
  pool.serve('/whoami', (_, { tenant }) => new Response(tenant))
  await Promise.all([pool.ensure('mallory'), pool.ensure('victim')])
  const [mallory, victim] = [new Inside(pool, 'mallory'), new Inside(pool, 'victim')]
  return { pool, name, dataDir, image, engine, engineSocket: socketPath, mallory, victim }
}

async function assertNothingLeft(engine: Docker, pool: string): Promise<void> {
  const filters = { label: [`${LABELS.pool}=${pool}`] }
  expect(await engine.listContainers({ all: true, filters })).toEqual([])
  expect(await engine.listNetworks({ filters })).toEqual([])
}
