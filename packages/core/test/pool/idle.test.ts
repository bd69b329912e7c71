import { setImmediate } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { testClock } from '../../src/testing/index.js'
import { failure, next, of, path, setup } from './helpers.js'

const MINUTE = 60_000

describe('idle tiers', () => {
  it('pause, stop and remove, each exactly when it is due, and by one timer', async () => {
    const clock = testClock()
    const { pool, events } = await setup({
      clock,
      idle: { pauseAfter: '5m', stopAfter: '30m', removeAfter: '60m' },
    })
    await pool.ensure('a')
    const began = clock.monotonic()
    const moments: [string, number][] = []
    pool.on('transition', ({ to }) => moments.push([to, clock.monotonic() - began]))
    await clock.advance(5 * MINUTE - 1)
    expect(moments).toEqual([])
    await clock.advance(1)
    await clock.advance(25 * MINUTE)
    await clock.advance(30 * MINUTE)
    expect(moments).toEqual([
      ['pausing', 5 * MINUTE],
      ['paused', 5 * MINUTE],
      ['stopping', 30 * MINUTE],
      ['stopped', 30 * MINUTE],
      ['removing', 60 * MINUTE],
      ['absent', 60 * MINUTE],
    ])
    expect(
      of(events, 'transition')
        .slice(-6)
        .every(({ reason }) => reason === 'idle'),
    ).toBe(true)
  })

  it('begin anew with each touch', async () => {
    const clock = testClock()
    const { pool } = await setup({ clock, idle: { stopAfter: '30m' } })
    await pool.ensure('a')
    for (let i = 0; i < 3; i++) {
      await clock.advance(29 * MINUTE)
      expect(pool.touch('a')).toBe(true)
    }
    expect(pool.get('a')).toMatchObject({ state: 'running', dueAt: clock.now() + 30 * MINUTE })
    const stopped = next(pool, 'transition', ({ to }) => to === 'stopped')
    await clock.advance(30 * MINUTE)
    await stopped
  })

  it('leave a leased box alone for as long as it is leased, and count from its release', async () => {
    const clock = testClock()
    const { pool } = await setup({ clock, idle: { stopAfter: '30m' }, timeouts: { lease: false } })
    const lease = await pool.lease('a')
    await clock.advance(300 * MINUTE)
    expect(pool.get('a')?.state).toBe('running')
    lease.release()
    await clock.advance(29 * MINUTE)
    expect(pool.get('a')?.state).toBe('running')
    const stopped = next(pool, 'transition', ({ to }) => to === 'stopped')
    await clock.advance(MINUTE)
    await stopped
  })

  it('never interrupt a use, however short they are', async () => {
    const { pool, engine } = await setup({ idle: { stopAfter: 1 } })
    await pool.use('a', async (box) => {
      for (let i = 0; i < 50; i++) {
        await pool.reap()
        expect((await box.fetch('/healthz')).status).toBe(200)
        expect(engine.box('a')?.state).toBe('running')
      }
    })
    expect(engine.calls('start')).toBe(1)
  })

  it('do not care for jumps of the wall clock', async () => {
    const clock = testClock()
    const { pool } = await setup({ clock, idle: { stopAfter: '30m' } })
    await pool.ensure('a')
    clock.set(clock.now() + 365 * 24 * 60 * MINUTE)
    await clock.advance(MINUTE)
    clock.set(clock.now() - 2 * 365 * 24 * 60 * MINUTE)
    await clock.advance(MINUTE)
    expect(pool.get('a')?.state).toBe('running')
    const stopped = next(pool, 'transition', ({ to }) => to === 'stopped')
    await clock.advance(28 * MINUTE)
    await stopped
  })

  it('stand back for demand that comes while the lock is waited for', async () => {
    const clock = testClock()
    const { pool, engine } = await setup({ clock, idle: { pauseAfter: '1m', stopAfter: '2m' } })
    await pool.ensure('a')
    const hold = engine.faults.hold('pause')
    await clock.advance(MINUTE)
    await hold.reached
    // The box is being paused; this reap comes for the stop, and this lease comes first.
    await clock.advance(MINUTE)
    const lease = pool.lease('a')
    hold.release()
    const held = await lease
    await pool.reap()
    expect(held.box.state).toBe('running')
    expect(held.box.generation).toBe(1)
    held.release()
  })

  it('ask the veto, which keeps the box for another round', async () => {
    const clock = testClock()
    let busy = true
    const asked: string[] = []
    const { pool } = await setup({
      clock,
      idle: {
        stopAfter: '10m',
        veto: async (box) => {
          asked.push(box.tenant)
          // Looking at the box is no activity.
          await (await box.fetch('/healthz')).text()
          return busy
        },
      },
    })
    await pool.ensure('a')
    await clock.advance(10 * MINUTE)
    await pool.reap()
    expect(asked).toEqual(['a'])
    expect(pool.get('a')?.state).toBe('running')
    busy = false
    const stopped = next(pool, 'transition', ({ to }) => to === 'stopped')
    await clock.advance(10 * MINUTE)
    await stopped
    expect(asked).toEqual(['a', 'a'])
  })

  it('take a veto that throws, or hangs, for none, and say so', async () => {
    const clock = testClock()
    const { pool, events } = await setup({
      clock,
      idle: {
        stopAfter: '10m',
        veto: (box) => {
          if (box.tenant === 'a') throw new Error('no idea')
          return new Promise(() => undefined)
        },
      },
    })
    await Promise.all([pool.ensure('a'), pool.ensure('b')])
    const both = Promise.all(
      ['a', 'b'].map((id) => next(pool, 'transition', ({ to, tenant }) => to === 'stopped' && tenant === id)),
    )
    await clock.advance(10 * MINUTE)
    await clock.advance(5_000)
    await both
    expect(of(events, 'warning').map(({ code, tenant }) => [code, tenant])).toEqual([
      ['VETO_FAILED', 'a'],
      ['VETO_FAILED', 'b'],
    ])
  })

  it('listen to an agent that says it is busy', async () => {
    const clock = testClock()
    let busy = true
    const { pool } = await setup(
      { clock, idle: { stopAfter: '10m' } },
      { agent: () => Response.json({ busy }) },
    )
    await pool.ensure('a')
    await clock.advance(10 * MINUTE)
    await pool.reap()
    expect(pool.get('a')?.state).toBe('running')
    busy = false
    const stopped = next(pool, 'transition', ({ to }) => to === 'stopped')
    await clock.advance(10 * MINUTE)
    await stopped
  })

  it('listen to it for an hour in which nobody uses its box, and no longer', async () => {
    const clock = testClock()
    const { pool, events } = await setup(
      { clock, idle: { stopAfter: '10m' } },
      { agent: () => Response.json({ busy: true }) },
    )
    await pool.ensure('a')
    const info = () => pool.get('a')
    /** Until it is due, and the agent has answered. */
    const askedAgain = async (): Promise<string | undefined> => {
      await clock.advance(10 * MINUTE)
      while (info()?.state === 'running' && info()?.dueAt === undefined) await setImmediate()
      return info()?.state
    }
    for (let round = 0; round < 6; round++) expect(await askedAgain()).toBe('running')
    pool.touch('a')
    for (let round = 0; round < 6; round++) expect(await askedAgain()).toBe('running')
    expect(of(events, 'warning')).toEqual([])
    const stopped = next(pool, 'transition', ({ to }) => to === 'stopped')
    expect(await askedAgain()).toMatch('stop')
    expect((await stopped).reason).toBe('idle')
    expect(of(events, 'warning').map(({ code, tenant }) => [code, tenant])).toEqual([['BUSY_TOO_LONG', 'a']])
  })

  it('differ by tenant', async () => {
    const clock = testClock()
    const { pool } = await setup({
      clock,
      idle: { stopAfter: '10m' },
      perTenant: (tenant) => (tenant === 'pro' ? { idle: { stopAfter: '60m' } } : {}),
    })
    await Promise.all([pool.ensure('pro'), pool.ensure('free')])
    const stopped = next(pool, 'transition', ({ to }) => to === 'stopped')
    await clock.advance(10 * MINUTE)
    expect((await stopped).tenant).toBe('free')
    expect(pool.get('pro')).toMatchObject({ state: 'running', dueAt: clock.now() + 50 * MINUTE })
  })

  it('give a box the grace that perTenant gives its tenant', async () => {
    const clock = testClock()
    const { pool, events } = await setup(
      {
        clock,
        idle: { stopAfter: '10m' },
        perTenant: (tenant) => (tenant === 'slow' ? { box: { stopGrace: '2m' } } : {}),
      },
      { main: () => new Promise(() => undefined) },
    )
    await Promise.all([pool.ensure('slow'), pool.ensure('other')])
    const stopped = next(pool, 'transition', ({ tenant, to }) => tenant === 'slow' && to === 'stopped')
    await clock.advance(13 * MINUTE)
    await stopped
    const graces = of(events, 'transition').flatMap(({ tenant, from, ms }) =>
      from === 'stopping' ? [[tenant, ms]] : [],
    )
    expect(Object.fromEntries(graces)).toEqual({ slow: 2 * MINUTE, other: 10_000 })
  })

  it('are tried again when the engine failed, and harm nobody else', async () => {
    const clock = testClock()
    const { pool, engine, events } = await setup({ clock, idle: { stopAfter: '10m' } })
    await Promise.all([pool.ensure('a'), pool.ensure('b')])
    engine.faults.fail('stop', new Error('odd'), { when: ({ slug }) => slug === 'a' })
    const bStopped = next(pool, 'transition', ({ to, tenant }) => to === 'stopped' && tenant === 'b')
    await clock.advance(10 * MINUTE)
    await bStopped
    expect(of(events, 'warning').map(({ code }) => code)).toEqual(['REAP_FAILED'])
    const aStopped = next(pool, 'transition', ({ to, tenant }) => to === 'stopped' && tenant === 'a')
    await clock.advance(15_000)
    await aStopped
    expect(path(events, 'a')).toContain('>stopping(idle)>running(idle)>stopping(idle)>stopped(idle)')
  })

  it('wait for nobody once the pool is closed, and put nobody to sleep', async () => {
    const never = (): Promise<never> => new Promise(() => undefined)
    const clock = testClock()
    const { pool, engine, again } = await setup({ clock, idle: { stopAfter: '1m', veto: never } })
    await pool.ensure('a')
    await clock.advance(MINUTE)
    await pool.close({ drain: 0 })
    expect(clock.pending).toEqual([])
    const second = again({ perTenant: never })
    await second.start()
    await clock.advance(1)
    await second.close({ drain: 0 })
    expect(clock.pending).toEqual([])
    expect(engine.box('a')?.state).toBe('running')
  })

  it('leave no timer behind when the pool is closed', async () => {
    const clock = testClock()
    const { pool } = await setup({ clock, idle: { pauseAfter: '1m', stopAfter: '10m' } })
    const lease = await pool.lease('a')
    await pool.ensure('b')
    await pool.close({ drain: 0 })
    expect(lease.signal.reason).toMatchObject({ code: 'POOL_CLOSED' })
    expect(clock.pending).toEqual([])
    await failure(pool.ensure('a'), 'POOL_CLOSED')
  })
})
