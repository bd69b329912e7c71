import { describe, expect, it } from 'vitest'
import { isTenantBoxError } from '../../src/index.js'
import { MISSED_DEADLINES } from '../../src/leasing.js'
import { testClock } from '../../src/testing/index.js'
import { passTimeUntil } from '../pass-time.js'
import { failure, next, of, path, setup } from './helpers.js'

/** A pool whose agents take requests to `/hang` and never answer them. */
async function hanging() {
  const clock = testClock()
  const never = new Promise<Response>(() => undefined)
  const world = await setup(
    { clock, timeouts: { firstByte: '1m', lease: false } },
    { agent: (request) => (new URL(request.url).pathname === '/hang' ? never : new Response('{}')) },
  )
  const box = await world.pool.ensure('a')
  const miss = async () => passTimeUntil(failure(box.fetch('/hang'), 'TIMEOUT'), clock)
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
