import { setImmediate } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { testClock } from '../../src/testing/index.js'
import { passTimeUntil } from '../pass-time.js'
import { failure, next, of, path, setup } from './helpers.js'

const present = (boxes: readonly { state: string; tenant: string }[]): number =>
  boxes.filter((box) => box.state !== 'removed').length

describe('drift', () => {
  it('rebuilds a box from an older spec when it next wakes from stopped', async () => {
    const { pool, engine, events } = await setup()
    await pool.ensure('a')
    const old = engine.box('a')
    pool.update({ box: { image: 'agent:1', env: { NEW: '1' } } })
    expect((await pool.ensure('a')).generation).toBe(1)
    await pool.stop('a')
    events.length = 0
    await pool.ensure('a')
    expect(engine.box('a')).not.toBe(old)
    expect(present(engine.boxes)).toBe(1)
    expect(path(events, 'a')).toBe(
      'stopped>removing(drift)>absent(drift)>creating(demand)>stopped(demand)>starting(demand)>running(demand)',
    )
    expect(pool.get('a')?.drifted).toBe(false)
    expect(engine.maxLive('a')).toBe(1)
  })

  it('sees an image that was built anew under its old name', async () => {
    const { pool, engine } = await setup({}, { images: { 'agent:1': {} } })
    await pool.ensure('a')
    await pool.stop('a')
    await pool.ensure('a')
    expect(engine.calls('create')).toBe(1)
    await pool.stop('a')
    engine.build('agent:1', { agent: () => Response.json({ version: 2 }) })
    expect(await (await pool.fetch('a', '/')).json()).toEqual({ version: 2 })
    expect(engine.calls('create')).toBe(2)
  })

  it('does not rebuild for secrets, nor when told to keep', async () => {
    const { pool, engine } = await setup({ onDrift: 'keep' })
    await pool.ensure('a')
    await pool.stop('a')
    pool.update({ box: { image: 'agent:1', env: { NEW: '1' } } })
    await pool.ensure('a')
    expect(pool.get('a')?.drifted).toBe(true)
    const rotating = await setup()
    await rotating.pool.ensure('a')
    await rotating.pool.stop('a')
    rotating.pool.update({ box: { image: 'agent:1', secrets: { token: 'new' } } })
    await rotating.pool.ensure('a')
    expect([engine.calls('create'), rotating.engine.calls('create')]).toEqual([1, 1])
  })

  it('brings the old box back when the new one never becomes ready, and does not try again at once', async () => {
    const { pool, engine, events } = await setup(
      {},
      { images: { 'agent:1': {}, 'agent:2': { main: () => 1, agent: false } } },
    )
    await pool.ensure('a')
    const old = engine.box('a')
    await pool.stop('a')
    pool.update({ box: { image: 'agent:2' } })
    expect(await pool.send('a', 'hello').text()).toBe('hello')
    expect(present(engine.boxes)).toBe(1)
    expect(old?.state).toBe('running')
    expect(old?.name).toBe('tbx-test-a')
    expect(pool.get('a')?.drifted).toBe(true)
    expect(of(events, 'warning').map(({ code }) => code)).toEqual(['REBUILD_FAILED'])
    const creates = engine.calls('create')
    await pool.stop('a')
    await pool.ensure('a')
    // Another tenant's next wake does not try the bad release either.
    expect(engine.calls('create')).toBe(creates)
  })

  it.each(['setAside', 'create', 'start', 'remove'] as const)(
    'comes through a crash right after %s',
    async (operation) => {
      const { pool, engine, again } = await setup()
      await pool.ensure('a')
      await pool.stop('a')
      pool.update({ box: { image: 'agent:1', env: { NEW: '1' } } })
      const hold = engine.faults.hold(operation, { at: 'after' })
      void pool.ensure('a').catch(() => undefined)
      await hold.reached
      hold.fail(new Error('the process died here'))
      await pool.close({ drain: 0 })
      const second = again({ box: { image: 'agent:1', env: { NEW: '1' } } })
      await second.start()
      expect(await second.send('a', 'hello').text()).toBe('hello')
      expect(present(engine.boxes)).toBe(1)
      expect(engine.box('a')?.name).toBe('tbx-test-a')
      expect(engine.maxLive('a')).toBe(1)
    },
  )

  it('serves with the new box when the old one cannot be removed yet', async () => {
    const clock = testClock()
    const { pool, engine, events } = await setup({ clock })
    await pool.ensure('a')
    await pool.stop('a')
    pool.update({ box: { image: 'agent:1', env: { NEW: '1' } } })
    engine.faults.fail('remove', new Error('odd'))
    expect(await pool.send('a', 'hello').text()).toBe('hello')
    expect(of(events, 'warning').map(({ code }) => code)).toEqual(['REBUILD_NOT_ENDED'])
    expect(present(engine.boxes)).toBe(2)
    const removal = engine.faults.hold('remove')
    await clock.advance(10_000)
    await removal.reached
    removal.release()
    while (present(engine.boxes) > 1) await setImmediate()
    expect(engine.box('a')).toMatchObject({ name: 'tbx-test-a', state: 'running' })
  })

  it('removes the old box soon, however many more cannot be removed meanwhile', async () => {
    const clock = testClock()
    const { pool, engine } = await setup({ clock })
    for (const tenant of ['a', 'b']) {
      await pool.ensure(tenant)
      await pool.stop(tenant)
    }
    pool.update({ box: { image: 'agent:1', env: { NEW: '1' } } })
    engine.faults.fail('remove', new Error('odd'))
    await pool.ensure('a')
    await clock.advance(4_000)
    engine.faults.fail('remove', new Error('odd'))
    await pool.ensure('b')
    const removal = engine.faults.hold('remove')
    await clock.advance(1_000)
    await removal.reached
    removal.release()
    while (present(engine.boxes) > 2) await setImmediate()
  })

  it('goes back to the old box soon when the new one fails and cannot be removed yet', async () => {
    const clock = testClock()
    const { pool, engine } = await setup(
      { clock },
      { agent: (_, { env }) => new Response(null, { status: env.NEW ? 500 : 200 }) },
    )
    await passTimeUntil(pool.ensure('a'), clock)
    await passTimeUntil(pool.stop('a'), clock)
    const old = engine.box('a')
    pool.update({ box: { image: 'agent:1', env: { NEW: '1' } }, timeouts: { wake: '1s' } })
    engine.faults.fail('remove', new Error('odd'))
    await expect(passTimeUntil(pool.ensure('a'), clock)).rejects.toThrow('odd')
    expect(present(engine.boxes)).toBe(2)
    const restoring = engine.faults.hold('restore')
    await clock.advance(10_000)
    await restoring.reached
    restoring.release()
    pool.update({ box: { image: 'agent:1' } })
    await passTimeUntil(pool.ensure('a'), clock)
    expect(engine.boxes.filter(({ state }) => state !== 'removed')).toEqual([old])
    expect(old).toMatchObject({ name: 'tbx-test-a', state: 'running' })
  })

  it('gives a box its name back that was set aside by a call whose answer is lost', async () => {
    const { pool, engine } = await setup()
    await pool.ensure('a')
    await pool.stop('a')
    const old = engine.box('a')
    pool.update({ box: { image: 'agent:1', env: { NEW: '1' } } })
    engine.faults.fail('setAside', new Error('odd'), { at: 'after' })
    await expect(pool.ensure('a')).rejects.toThrow('odd')
    pool.update({ box: { image: 'agent:1' } })
    await pool.ensure('a')
    expect(old?.name).toBe('tbx-test-a')
    expect(old?.state).toBe('running')
    expect(present(engine.boxes)).toBe(1)
  })

  it('stops an old box that somebody has started just then', async () => {
    const { pool, engine } = await setup()
    await pool.ensure('a')
    await pool.stop('a')
    pool.update({ box: { image: 'agent:1', env: { NEW: '1' } } })
    const hold = engine.faults.hold('setAside')
    const waking = pool.ensure('a')
    await hold.reached
    engine.box('a')?.start()
    hold.release()
    await waking
    expect(engine.maxLive('a')).toBe(1)
    expect(present(engine.boxes)).toBe(1)
  })

  it('can be brought about now, waiting for leases', async () => {
    const { pool, engine } = await setup()
    await pool.ensure('a')
    expect(await pool.refresh('a')).toBe(false)
    pool.update({ box: { image: 'agent:1', env: { NEW: '1' } } })
    const lease = await pool.lease('a')
    const refreshed = pool.refresh('a')
    expect((await lease.box.fetch('/healthz')).status).toBe(200)
    lease.release()
    expect(await refreshed).toBe(true)
    expect(pool.get('a')).toMatchObject({ state: 'running', drifted: false, generation: 2 })
    expect(present(engine.boxes)).toBe(1)
  })

  it('of a leased box waits only as long as it is told to', async () => {
    const clock = testClock()
    const { pool } = await setup({ clock })
    const lease = await pool.lease('a')
    pool.update({ box: { image: 'agent:1', env: { NEW: '1' } } })
    const busy = failure(pool.refresh('a', { timeout: '1s' }), 'BUSY')
    // The new spec is worked out with real files first, which this clock does not know of.
    while (!pool.get('a')?.drifted) await clock.advance(0)
    await clock.advance(1_000)
    await busy
    lease.release()
  })
})

describe('refresh', () => {
  it('rebuilds also what drift alone would keep', async () => {
    const { pool, engine } = await setup({ onDrift: 'keep' })
    await pool.ensure('a')
    pool.update({ box: { image: 'agent:1', env: { NEW: '1' } } })
    expect(await pool.refresh('a')).toBe(true)
    expect(engine.calls('create')).toBe(2)
    expect(pool.get('a')?.drifted).toBe(false)
  })

  it('has one that sleeps rebuilt at its next wake, also what drift alone would keep', async () => {
    const { pool, engine } = await setup({ onDrift: 'keep' })
    await pool.ensure('a')
    await pool.stop('a')
    pool.update({ box: { image: 'agent:1', env: { NEW: '1' } } })
    expect(await pool.refresh('a')).toBe(false)
    expect(pool.get('a')).toMatchObject({ state: 'stopped', drifted: true })
    await pool.ensure('a')
    expect(engine.calls('create')).toBe(2)
    expect(pool.get('a')?.drifted).toBe(false)
  })

  it('leaves nothing behind when it gave up on the leases', async () => {
    const { pool, engine } = await setup({ onDrift: 'keep' })
    const lease = await pool.lease('a')
    pool.update({ box: { image: 'agent:1', env: { NEW: '1' } } })
    const controller = new AbortController()
    const refreshed = pool.refresh('a', { signal: controller.signal })
    const gaveUp = expect(refreshed).rejects.toThrow('never mind')
    while (!pool.get('a')?.drifted) await setImmediate()
    controller.abort(new Error('never mind'))
    await gaveUp
    lease.release()
    await pool.stop('a')
    await pool.ensure('a')
    expect(engine.calls('create')).toBe(1)
  })

  it('only marks a box that sleeps, and says when the new one did not come up', async () => {
    const { pool } = await setup(
      {},
      { images: { 'agent:1': {}, 'agent:2': { main: () => 1, agent: false } } },
    )
    await pool.ensure('a')
    await pool.stop('a')
    pool.update({ box: { image: 'agent:2' } })
    expect(await pool.refresh('a')).toBe(false)
    expect(pool.get('a')).toMatchObject({ state: 'stopped', drifted: true })
    pool.update({ box: { image: 'agent:1' } })
    await pool.ensure('a')
    pool.update({ box: { image: 'agent:2' } })
    expect(await pool.refresh('a')).toBe(false)
    expect(pool.get('a')).toMatchObject({ state: 'running', drifted: true })
  })
})

describe('update', () => {
  it('changes idle tiers of boxes that are idle already', async () => {
    const clock = testClock()
    const { pool } = await setup({ clock, idle: { stopAfter: '30m' } })
    await pool.ensure('a')
    await clock.advance(10 * 60_000)
    pool.update({ idle: { stopAfter: '11m' } })
    const stopped = next(pool, 'transition', ({ to }) => to === 'stopped')
    await clock.advance(60_000)
    await stopped
  })

  it('changes nothing when it is refused', async () => {
    const { pool } = await setup()
    await pool.start()
    expect(() => pool.update({ idle: { stopAfter: 'soon' as '1s' } })).toThrow(/idle.stopAfter/)
    expect(() => pool.update({ name: 'x' } as object)).toThrow(/name/)
    expect((await pool.ensure('a')).state).toBe('running')
  })
})
