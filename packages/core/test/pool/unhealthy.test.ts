import { describe, expect, it } from 'vitest'
import { isTenantBoxError } from '../../src/index.js'
import { MISSED_DEADLINES } from '../../src/leasing.js'
import { testClock } from '../../src/testing/index.js'
import { passTimeUntil } from '../pass-time.js'
import { failure, next, of, path, setup } from './helpers.js'

/** A pool whose agents take requests to `/hang` and never answer them. */
async function hanging({ firstByte = '1m' }: { firstByte?: '1m' | '1s' } = {}) {
  const clock = testClock()
  const never = new Promise<Response>(() => undefined)
  const world = await setup(
    { clock, timeouts: { firstByte, lease: false } },
    { agent: (request) => (new URL(request.url).pathname === '/hang' ? never : new Response('{}')) },
  )
  const box = await world.pool.ensure('a')
  const miss = async () => passTimeUntil(failure(world.pool.fetch('a', '/hang'), 'TIMEOUT'), clock)
  return { ...world, clock, box, miss }
}

describe('an agent that hangs', () => {
  it('is stopped as unhealthy after its last missed deadline, and wakes again', async () => {
    const { pool, engine, events, miss } = await hanging()
    const lease = await pool.lease('a')
    for (let missed = 1; missed < MISSED_DEADLINES; missed++) await miss()
    expect(pool.get('a')?.state).toBe('running')
    const stopped = next(pool, 'transition', ({ to }) => to === 'stopped')
    await miss()
    expect(await stopped).toMatchObject({ from: 'stopping', reason: 'unhealthy' })
    const { reason } = lease.signal
    expect(isTenantBoxError(reason, 'STALE_BOX') && reason.details.reason).toBe('unhealthy')
    expect(of(events, 'lease').at(-1)).toMatchObject({ outcome: 'aborted' })
    expect(engine.box('a')?.state).toBe('stopped')
    expect((await pool.ensure('a')).generation).toBe(2)
    expect(path(events, 'a')).toContain('>running(demand)>stopping(unhealthy)>stopped(unhealthy)>starting')
  })

  it('is forgiven as soon as it answers', async () => {
    const { pool, box, miss } = await hanging()
    for (let round = 0; round < 3; round++) {
      for (let missed = 1; missed < MISSED_DEADLINES; missed++) await miss()
      expect((await box.fetch('/healthz')).status).toBe(200)
    }
    await pool.reap()
    expect(pool.get('a')).toMatchObject({ state: 'running', generation: 1 })
  })

  it('again and again, soon after each start, is left alone for a while', async () => {
    const { pool, engine, clock, miss } = await hanging({ firstByte: '1s' })
    for (let life = 1; life <= 3; life++) {
      expect((await pool.ensure('a')).generation).toBe(life)
      const stopped = next(pool, 'transition', ({ to }) => to === 'stopped')
      for (let missed = 0; missed < MISSED_DEADLINES; missed++) await miss()
      await stopped
    }
    const starts = engine.calls('start')
    expect((await failure(pool.ensure('a'), 'CRASH_LOOP')).details).toMatchObject({ attempts: 3 })
    expect(engine.calls('start')).toBe(starts)
    await clock.advance(1_000)
    expect((await pool.ensure('a')).generation).toBe(4)
  })

  it('is not to blame for callers who give up by themselves', async () => {
    const { pool, box, clock } = await hanging()
    for (let call = 0; call <= MISSED_DEADLINES; call++)
      await passTimeUntil(failure(box.fetch('/hang', { timeout: '1s' }), 'TIMEOUT'), clock)
    await pool.reap()
    expect(pool.get('a')).toMatchObject({ state: 'running', generation: 1 })
  })

  it('harms no other tenant whose request it was to fill', async () => {
    const { pool, clock } = await hanging()
    const other = await pool.ensure('b')
    for (let call = 0; call <= MISSED_DEADLINES; call++) {
      const error = await passTimeUntil(failure((await pool.ensure('a')).fetch('/hang'), 'TIMEOUT'), clock)
      const body = new ReadableStream({ pull: (controller) => controller.error(error) })
      await failure(other.fetch('/echo', { method: 'POST', body }), 'TIMEOUT')
    }
    await pool.reap()
    expect(pool.get('b')).toMatchObject({ state: 'running', generation: 1 })
  })
})

describe('an agent that takes its socket away once it is ready', () => {
  it('is started again for who asks next, but not again and again', async () => {
    const clock = testClock()
    const { pool, engine } = await setup({ clock })
    let hidden = false
    pool.on('transition', ({ to }) => {
      hidden = to === 'running'
    })
    engine.faults.intercept(({ operation }, moment) => {
      if (operation === 'dial' && moment === 'before' && hidden)
        throw Object.assign(new Error('no socket'), { code: 'ENOENT' })
    })
    const ask = () => pool.fetch('a', '/').catch((error: unknown) => error)
    const asked: unknown[] = []
    for (let request = 0; request < 10; request++) asked.push(await passTimeUntil(ask(), clock))
    expect(asked.filter((error) => isTenantBoxError(error, 'CRASH_LOOP')).length).toBeGreaterThan(0)
    expect(engine.calls('start')).toBe(3)
  })
})
