import { docker } from '@tenantbox/core/docker'
import { describe, expect, it } from 'vitest'
import type { PoolEvents, PoolOptions, TenantPool } from '../../src/index.js'
import { clientRefused, type Refusal } from '../docker/world.js'
import { engine, useAgentImage, world } from '../engine/world.js'
import { failure, next } from '../pool/helpers.js'

const image = useAgentImage()

const broken = { status: 500, message: 'device or resource busy' }

/** A pool whose engine refuses what `refuse` says, as long as it says so; and what the pool told of the engine. */
async function refusing(options: Partial<PoolOptions> = {}) {
  let refuse: (request: string) => Refusal | undefined = () => undefined
  const driver = () => docker({ client: clientRefused((request) => refuse(request)) })
  const { again, ...there } = await world(image, { driver: driver(), ...options })
  const told: PoolEvents['engine'][] = []
  const follow = (pool: TenantPool): TenantPool => {
    pool.on('engine', (event) => told.push(event))
    return pool
  }
  follow(there.pool)
  return {
    ...there,
    told,
    again: () => follow(again({ driver: driver() })),
    idOf: async (tenant: string) => (await engine.getContainer(`tbx-${there.name}-${tenant}`).inspect()).Id,
    /** Every request like this, or only the first so many, until the returned function is called. */
    refuse(like: RegExp, refusal: Refusal, times = Number.POSITIVE_INFINITY): () => void {
      let left = times
      refuse = (request) => (like.test(request) && left-- > 0 ? refusal : undefined)
      return () => {
        refuse = () => undefined
      }
    },
  }
}

describe('an engine that refuses something for one box', () => {
  const act = async (pool: TenantPool, how: 'stop' | 'remove' | 'ensure') => void (await pool[how]('a'))

  it.each([
    ['its stop', 'stop', (id: string) => `POST /containers/${id}/stop`],
    ['its removal', 'remove', (id: string) => `DELETE /containers/${id}`],
  ] as const)('says so to whoever asked for %s, and goes on for everybody else', async (_, how, request) => {
    const { pool, told, refuse, idOf } = await refusing()
    const [lease] = await Promise.all([pool.lease('b'), pool.ensure('a')])
    const mend = refuse(new RegExp(`^${request(await idOf('a'))}`), broken)
    const error = await failure(act(pool, how), 'START_FAILED')
    expect(error.tenant).toBe('a')
    expect(error.message).toContain('device or resource busy')
    expect(await lease.box.send('remember x').text()).toBe('x\n')
    await pool.ensure('c')
    mend()
    await act(pool, how)
    await pool.ensure('a')
    expect(told).toEqual([])
  })

  it.each([
    ['its image', /^GET \/images\/.*\/json/, 'pull'],
    ['a look into its image', /^POST \/containers\/create/, 'create'],
    ['its start', /^POST \/containers\/\w+\/start/, 'start'],
  ] as const)('says so to whoever waits for %s', async (_, request, phase) => {
    const { pool, told, refuse } = await refusing()
    await pool.start()
    const mend = refuse(request, broken)
    const error = await failure(pool.ensure('a'), 'START_FAILED')
    expect(error.details.phase).toBe(phase)
    expect(error.message).toContain('device or resource busy')
    mend()
    await pool.ensure('a')
    expect(told).toEqual([])
  })

  it('to tell how it is leaves only that one in doubt', async () => {
    const { pool, told, refuse, idOf } = await refusing()
    const [lease] = await Promise.all([pool.lease('b'), pool.lease('a')])
    const id = await idOf('a')
    const mend = refuse(new RegExp(`^GET /containers/${id}/json`), broken)
    const warned = next(pool, 'warning')
    await engine.getContainer(id).pause()
    expect(await warned).toMatchObject({ code: 'BOX_NOT_FOLLOWED', tenant: 'a' })
    const error = await failure(pool.ensure('a'), 'START_FAILED')
    expect(error.tenant).toBe('a')
    expect(await lease.box.send('remember x').text()).toBe('x\n')
    mend()
    await pool.ensure('a')
    expect(pool.get('a')).toMatchObject({ state: 'running', generation: 1, leases: 1 })
    expect(told).toEqual([])
  })

  it('to tell how it is keeps no pool from starting, and that box is known of', async () => {
    const { pool, told, refuse, idOf, again } = await refusing()
    await Promise.all([pool.ensure('a'), pool.ensure('b')])
    await pool.close()
    const later = again()
    const mend = refuse(new RegExp(`^GET /containers/${await idOf('a')}/json`), broken)
    expect(await later.start()).toMatchObject({ adopted: 2 })
    expect([later.get('a')?.state, later.get('b')?.state]).toEqual(['running', 'running'])
    mend()
    expect((await later.ensure('a')).generation).toBe(1)
    await later.remove('a', { data: 'delete' })
    await expect(idOf('a')).rejects.toMatchObject({ statusCode: 404 })
    expect(told).toEqual([])
  })
})

describe('an engine that can work for nobody', () => {
  it.each([
    ['before which a proxy answers', { status: 503, message: 'Service Unavailable' }],
    [
      'whose containerd is away',
      {
        status: 500,
        message:
          'connection error: desc = "transport: Error while dialing dial unix /run/containerd.sock: connect: connection refused": unavailable',
      },
    ],
  ])('is waited for: one %s', async (_, refusal) => {
    const { pool, told, refuse } = await refusing()
    await pool.start()
    refuse(/^POST \/containers\/\w+\/start/, refusal, 1)
    expect((await pool.ensure('a')).state).toBe('running')
    expect(told.map(({ state }) => state)).toEqual(['down', 'up'])
  })
})
