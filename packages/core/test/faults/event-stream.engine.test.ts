import { docker } from '@tenantbox/core/docker'
import { describe, expect, it } from 'vitest'
import { isTenantBoxError, type PoolEvents, type PoolOptions } from '../../src/index.js'
import { containers, engine, useAgentImage, world } from '../engine/world.js'
import { failure, next } from '../pool/helpers.js'
import { EngineProxy } from './engine-proxy.js'

const image = useAgentImage()

/** A pool that reaches the engine through a proxy, and what it told of the engine. */
async function behindProxy(options: Partial<PoolOptions> = {}, callTimeout: number | undefined = undefined) {
  const proxy = await EngineProxy.open()
  const driver = docker({ socketPath: proxy.socketPath, callTimeout })
  const there = await world(image, { driver, ...options })
  const told: PoolEvents['engine'][] = []
  there.pool.on('engine', (event) => told.push(event))
  const container = (tenant: string) => engine.getContainer(`tbx-${there.name}-${tenant}`)
  return { ...there, proxy, told, container }
}

describe('a stream of events', () => {
  it('that is cut while much happens is made anew, and nothing that happened is lost', async () => {
    const { pool, name, proxy, told, container } = await behindProxy()
    await Promise.all(['killed', 'paused', 'removed', 'leased'].map((tenant) => pool.ensure(tenant)))
    const lease = await pool.lease('leased')
    const end = (tenant: string, to: string) =>
      next(pool, 'transition', (event) => event.tenant === tenant && event.to === to)
    const ends = [end('killed', 'stopped'), end('paused', 'paused'), end('removed', 'absent')]
    const tried = next(pool, 'engine', ({ attempt }) => attempt === 4)

    proxy.change('refuse')
    proxy.cut()
    await container('killed').kill()
    await container('paused').pause()
    await container('removed').remove({ force: true })
    const waiting = pool.ensure('new')
    await failure(pool.ensure('hasty', { timeout: 100 }), 'TIMEOUT')
    await tried
    expect(pool.stats()).toMatchObject({ ok: false, engine: 'down' })
    proxy.change('pass')

    const [killed, paused, removed] = await Promise.all(ends)
    expect(killed).toMatchObject({ reason: 'exited', exit: { code: 137, oom: false } })
    expect([paused?.reason, removed?.reason]).toEqual(['outside', 'outside'])
    await waiting
    expect(pool.stats()).toMatchObject({ ok: true, engine: 'up' })
    expect(lease.signal.aborted).toBe(false)
    expect(pool.get('leased')?.generation).toBe(1)

    const waits = told.filter(({ state }) => state === 'down')
    expect(waits.map(({ attempt }) => attempt)).toEqual(waits.map((_, index) => index + 1))
    // Exponential, with jitter in its upper half.
    for (const { attempt, retryIn } of waits) {
      const full = 100 * 2 ** (attempt - 1)
      expect(retryIn).toBeGreaterThanOrEqual(full / 2)
      expect(retryIn).toBeLessThanOrEqual(full)
    }
    expect(isTenantBoxError(waits.at(-1)?.cause, 'ENGINE_UNAVAILABLE')).toBe(true)

    await Promise.all(['killed', 'paused', 'removed'].map((tenant) => pool.ensure(tenant)))
    const running = ['killed', 'leased', 'new', 'paused', 'removed']
    expect((await containers(name)).filter(({ state }) => state === 'running')).toEqual(
      running.map((tenant) => ({ name: `/tbx-${name}-${tenant}`, state: 'running' })),
    )
  })

  it('that comes in drips is read all the same', async () => {
    const { pool, proxy, container, told } = await behindProxy()
    await pool.ensure('a')
    proxy.change({ drip: 1 }, 'events')
    const stopped = next(pool, 'transition', ({ to }) => to === 'stopped')
    await container('a').kill()
    expect(await stopped).toMatchObject({ reason: 'exited', exit: { code: 137 } })
    expect(told).toEqual([])
  })

  it('that is cut in the middle of an event loses nothing', async () => {
    const { pool, proxy, container, told } = await behindProxy()
    await pool.ensure('a')
    const up = next(pool, 'engine', ({ state }) => state === 'up')
    const stopped = next(pool, 'transition', ({ to }) => to === 'stopped')
    // At this rate no event gets through in whole.
    proxy.change({ drip: 1_000 }, 'events')
    await container('a').kill()
    await container('a').wait()
    proxy.cut()
    proxy.change('pass')
    expect(await stopped).toMatchObject({ reason: 'exited', exit: { code: 137 } })
    await up
    expect(told.map(({ state }) => state)).toEqual(['down', 'up'])
  })

  it('that stalls hides a death only until the next use, and what comes late does no harm', async () => {
    const { pool, proxy, container, told } = await behindProxy()
    await pool.ensure('a')
    proxy.change('stall', 'events')
    await container('a').kill()
    await container('a').wait()
    expect(pool.get('a')?.state).toBe('running')
    // The request finds nobody, and goes to the next life.
    expect(await pool.send('a', 'remember x').text()).toBe('x\n')
    const late: string[] = []
    pool.on('transition', ({ to }) => late.push(to))
    proxy.change('pass')
    // Once this one has come through, so have those before it.
    const paused = next(pool, 'transition', ({ to }) => to === 'paused')
    await container('a').pause()
    expect((await paused).reason).toBe('outside')
    expect(late).toEqual(['paused'])
    expect(pool.get('a')?.generation).toBe(2)
    expect(told).toEqual([])
  })
})

describe('an engine whose answers', () => {
  it('drip for ever is given up in time, and what it did meanwhile is found out', async () => {
    const { pool, proxy, container } = await behindProxy({ box: { image, stopGrace: '1s' } }, 2_000)
    await pool.ensure('a')
    const down = next(pool, 'engine', ({ state }) => state === 'down')
    const up = next(pool, 'engine', ({ state }) => state === 'up')
    proxy.change({ drip: 100 })
    const stopping = pool.stop('a')
    expect((await down).cause).toMatchObject({ code: 'ENGINE_UNAVAILABLE' })
    proxy.cut()
    proxy.change('pass')
    await up
    await stopping
    expect(pool.get('a')?.state).toBe('stopped')
    expect((await container('a').inspect()).State.Running).toBe(false)
    expect((await pool.ensure('a')).generation).toBeGreaterThan(1)
  })

  it('stall while boxes are made and stopped does nothing twice', async () => {
    const { pool, name, proxy } = await behindProxy({ box: { image, stopGrace: '1s' } }, 2_000)
    await pool.ensure('a')
    const up = next(pool, 'engine', ({ state }) => state === 'up')
    proxy.change('stall')
    const acts = [pool.ensure('new'), pool.stop('a')]
    await next(pool, 'engine', ({ attempt }) => attempt === 2)
    proxy.cut()
    proxy.change('pass')
    await up
    await Promise.all(acts)
    expect(await containers(name)).toEqual([
      { name: `/tbx-${name}-a`, state: 'exited' },
      { name: `/tbx-${name}-new`, state: 'running' },
    ])
  })
})
