import { describe, expect, it } from 'vitest'
import { TenantBoxError } from '../../src/index.js'
import { type TestClock, testClock } from '../../src/testing/index.js'
import { passTimeUntil } from '../pass-time.js'
import { failure, next, of, type Setup, setup } from './helpers.js'

describe('an engine that is away', () => {
  it.each(['pause', 'stop', 'remove', 'refresh'] as const)('is waited for by %s', async (act) => {
    const clock = testClock()
    const { pool, engine } = await setup({ clock, timeouts: { wake: '365d' } })
    await pool.ensure('a')
    pool.update({ box: { image: 'agent:1', env: { RELEASE: '2' } } })
    const down = next(pool, 'engine', ({ state }) => state === 'down')
    engine.down()
    await down
    const hasty = failure(pool[act]('a', { timeout: 500 }), 'TIMEOUT')
    await clock.advance(500)
    await hasty
    const acting = pool[act]('a', { timeout: '1d' })
    await clock.advance(5_000)
    engine.up()
    await passTimeUntil<unknown>(acting, clock)
    const state = { pause: 'paused', stop: 'stopped', remove: 'absent', refresh: 'running' }[act]
    expect(pool.get('a')?.state).toBe(state)
    expect(engine.maxLive('a')).toBe(1)
  })

  it('keeps nobody waiting once the pool is closed', async () => {
    const { pool, engine } = await setup()
    await pool.ensure('a')
    const down = next(pool, 'engine', ({ state }) => state === 'down')
    engine.down()
    await down
    const stopping = failure(pool.stop('a'), 'POOL_CLOSED')
    const waking = failure(pool.ensure('b'), 'POOL_CLOSED')
    await pool.close({ boxes: 'stop' })
    await Promise.all([stopping, waking])
  })
})

describe('an engine that takes its boxes along', () => {
  it('leaves them no worse than before, however often', async () => {
    const clock = testClock()
    const { pool, engine } = await setup({ clock })
    for (let outage = 0; outage < 5; outage++) {
      const { generation } = await pool.ensure('a')
      expect(generation).toBe(outage + 1)
      const down = next(pool, 'engine', ({ state }) => state === 'down')
      const died = next(pool, 'transition', ({ to }) => to === 'stopped')
      engine.down({ boxes: 'stop' })
      await down
      engine.up()
      await passTimeUntil(died, clock)
    }
    expect((await pool.ensure('a')).state).toBe('running')
  })
})

describe('an engine that takes boxes along in their start', () => {
  /** Loses the engine, and the box with it, while the agent of `a` is not ready yet. */
  async function loseInStart({ pool, engine }: Setup, clock: TestClock): Promise<void> {
    const starting = next(pool, 'transition', ({ to }) => to === 'starting')
    const waking = pool.ensure('a').then(() => 'awake', String)
    await passTimeUntil(Promise.race([starting, waking]), clock)
    await clock.advance(500)
    const down = next(pool, 'engine', ({ state }) => state === 'down')
    engine.down({ boxes: 'stop' })
    await passTimeUntil(down, clock)
    engine.up()
    await passTimeUntil(waking, clock)
  }

  it('leaves them no worse than before, however often', async () => {
    const clock = testClock()
    let status = 503
    const world = await setup({ clock }, { agent: () => new Response(null, { status }) })
    for (let outage = 0; outage < 4; outage++) await loseInStart(world, clock)
    status = 200
    expect((await passTimeUntil(world.pool.ensure('a'), clock)).state).toBe('running')
  })

  it('does not turn their new release away', async () => {
    const clock = testClock()
    let status = 200
    const world = await setup(
      { clock },
      { agent: (_, { env }) => new Response(null, { status: env.RELEASE ? status : 200 }) },
    )
    const { pool } = world
    await passTimeUntil(pool.ensure('a'), clock)
    await passTimeUntil(pool.stop('a'), clock)
    pool.update({ box: { image: 'agent:1', env: { RELEASE: '2' } } })
    status = 503
    await loseInStart(world, clock)
    status = 200
    await passTimeUntil(pool.stop('a'), clock)
    await passTimeUntil(pool.ensure('a'), clock)
    expect(pool.get('a')?.drifted).toBe(false)
  })
})

describe('an engine that is lost while the pool closes', () => {
  it('is not what those hear who wait for a box', async () => {
    const { pool, engine } = await setup()
    await pool.start()
    const creating = engine.faults.hold('create')
    const waking = failure(pool.ensure('a'), 'POOL_CLOSED')
    await creating.reached
    const closed = pool.close({ drain: 0 })
    creating.fail(new TenantBoxError('ENGINE_UNAVAILABLE', 'gone', { endpoint: 'memory', hint: '' }))
    await waking
    await closed
  })
})

describe('an engine that is lost when an agent is dialled', () => {
  const gone = new TenantBoxError('ENGINE_UNAVAILABLE', 'gone', { endpoint: 'memory', hint: '' })

  async function dialling(times: number) {
    const clock = testClock()
    const asked: string[] = []
    const agent = (request: Request): Response => {
      const { pathname } = new URL(request.url)
      if (pathname !== '/healthz') asked.push(pathname)
      return new Response('hello', { headers: { 'content-type': 'text/plain' } })
    }
    const made = await setup(
      { clock, box: { image: 'agent:1', ready: 'started' } },
      { images: { 'agent:1': { agent } } },
    )
    await passTimeUntil(made.pool.ensure('a'), clock)
    made.engine.faults.fail('dial', gone, { times })
    return { ...made, clock, asked }
  }

  it('is waited for by a message, which arrives once', async () => {
    const { pool, clock, asked, events } = await dialling(3)
    expect(await passTimeUntil(pool.send('a', 'hi').text(), clock)).toBe('hello')
    expect(asked).toEqual(['/message'])
    expect(of(events, 'engine').map(({ state }) => state)).toEqual(['down', 'up', 'down', 'up', 'down', 'up'])
  })

  it('is waited for by a request', async () => {
    const { pool, clock, asked } = await dialling(3)
    const response = await passTimeUntil(pool.fetch('a', '/files', { method: 'POST', body: 'all' }), clock)
    expect(await response.text()).toBe('hello')
    expect(asked).toEqual(['/files'])
  })

  it('is waited for as long as the caller allows', async () => {
    const { pool, clock } = await dialling(Number.POSITIVE_INFINITY)
    await failure(passTimeUntil(pool.send('a', 'hi', { timeout: '20s' }).text(), clock), 'TIMEOUT')
  })

  it('is the end of a request whose body is a stream', async () => {
    const { pool, clock, asked } = await dialling(1)
    const body = new Blob(['all']).stream()
    await failure(
      passTimeUntil(pool.fetch('a', '/files', { method: 'POST', body, duplex: 'half' }), clock),
      'ENGINE_UNAVAILABLE',
    )
    expect(asked).toEqual([])
  })
})

describe('an engine that answers some calls and not others', () => {
  it('is not rushed', async () => {
    const clock = testClock()
    const { pool, engine, events } = await setup({ clock })
    await pool.start()
    const broken = new TenantBoxError('ENGINE_UNAVAILABLE', 'broken', { endpoint: 'memory', hint: '' })
    const mend = engine.faults.fail('prepare', broken, { times: Number.POSITIVE_INFINITY })
    const waking = pool.ensure('a')
    // It comes up each time, only to be lost again at once.
    await passTimeUntil(
      next(pool, 'engine', ({ state, attempt }) => state === 'up' && attempt === 8),
      clock,
    )
    const waits = of(events, 'engine').map(({ retryIn = 0 }) => retryIn)
    expect(Math.max(...waits)).toBeGreaterThan(5_000)
    mend()
    await passTimeUntil(waking, clock)
    const last = of(events, 'engine').at(-1)
    expect(last?.state).toBe('up')
    // One that lasts begins anew.
    await clock.advance(5_000)
    const down = next(pool, 'engine', ({ state }) => state === 'down')
    engine.down()
    expect((await down).attempt).toBe(1)
  })
})
