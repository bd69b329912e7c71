import { access } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { TenantBoxError } from '../../src/index.js'
import { testClock } from '../../src/testing/index.js'
import { passTimeUntil } from '../pass-time.js'
import { failure, next, of, path, setup } from './helpers.js'

describe('a caller’s timeout', () => {
  it('counts from the call, also while the pool is still being opened', async () => {
    const clock = testClock()
    const { pool, engine } = await setup({ clock })
    const hold = engine.faults.hold('list')
    const calls = [
      pool.ensure('a', { timeout: '1s' }),
      pool.lease('a', { timeout: '1s' }),
      pool.stop('a', { timeout: '1s' }),
      pool.refresh('a', { timeout: '1s' }),
      pool.send('a', 'hello', { timeout: '1s' }).text(),
      pool.fetch('a', '/healthz', { timeout: 1_000 }),
    ].map((call) => failure(call, 'TIMEOUT'))
    const opened = pool.start()
    await hold.reached
    await clock.advance(1_000)
    for (const { details } of await Promise.all(calls)) expect(details.afterMs).toBe(1_000)
    hold.release()
    await opened
  })

  it('ends the wait for an engine that hangs; what was begun goes on', async () => {
    const clock = testClock()
    const { pool, engine } = await setup({ clock })
    await pool.ensure('a')
    const hold = engine.faults.hold('stop')
    const late = failure(pool.stop('a', { timeout: '1s' }), 'TIMEOUT')
    await hold.reached
    const refreshed = failure(pool.refresh('a', { timeout: '1s' }), 'TIMEOUT')
    await clock.advance(1_000)
    await late
    await refreshed
    expect(pool.get('a')?.state).toBe('stopping')
    const stopped = next(pool, 'transition', ({ to }) => to === 'stopped')
    hold.release()
    await stopped
    expect((await pool.ensure('a')).generation).toBe(2)
  })

  it('bounds both attempts of a message together', async () => {
    const clock = testClock()
    const { pool, engine } = await setup({ clock })
    await pool.ensure('a')
    // The box has died unseen: the first attempt finds nobody, the second one wakes it, and that takes too long.
    engine.faults.relayEvents(() => undefined)
    engine.box('a')?.kill()
    engine.faults.delay('dial', 700, { times: 1 })
    const hold = engine.faults.hold('inspect')
    const late = failure(pool.send('a', 'hello', { timeout: '1s' }).text(), 'TIMEOUT')
    await clock.advance(700)
    await hold.reached
    await clock.advance(300)
    await late
    hold.release()
  })
})

describe('a handle', () => {
  it('gets no new lease once the pool is closing', async () => {
    const clock = testClock()
    const { pool, engine, events } = await setup({ clock })
    const box = await pool.ensure('a')
    const hold = engine.faults.hold('pause')
    const paused = pool.pause('a')
    await hold.reached
    const late = failure(box.fetch('/healthz'), 'POOL_CLOSED')
    const closed = pool.close({ drain: 0 })
    hold.release()
    await Promise.all([paused, late, closed])
    expect(of(events, 'lease')).toEqual([])
    expect(path(events, 'a')).toMatch(/>paused\(requested\)$/)
    expect(clock.pending).toEqual([])
  })
})

describe('removing a tenant for good', () => {
  it('twice at a time does not take what a later caller has got', async () => {
    const clock = testClock()
    const { pool, engine } = await setup({ clock })
    await Promise.all([pool.ensure('a'), pool.ensure('b')])
    const removing = engine.faults.hold('remove', { at: 'after' })
    const first = pool.remove('a', { data: 'delete' })
    const second = pool.remove('a', { data: 'delete' })
    await removing.reached
    // The engine is lost meanwhile, so that the second one has to ask it.
    const lost = new TenantBoxError('ENGINE_UNAVAILABLE', 'gone', { endpoint: 'memory', hint: '' })
    engine.faults.fail('inspect', lost)
    const down = next(pool, 'engine', ({ state }) => state === 'down')
    engine.box('b')?.kill()
    await down
    const finding = engine.faults.hold('find', { when: ({ slug }) => slug === 'a' })
    removing.release()
    await first
    await finding.reached
    const waking = pool.ensure('a')
    // Plenty of turns, in which it must not get ahead of the second removal.
    for (let i = 0; i < 10_000 && pool.get('a')?.state !== 'running'; i++) await clock.advance(1)
    finding.release()
    await second
    const box = await passTimeUntil(waking, clock)
    expect(box.state).toBe('running')
    await access(box.workspaceDir)
  })
})
