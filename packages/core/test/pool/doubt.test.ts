import { describe, expect, it } from 'vitest'
import { testClock } from '../../src/testing/index.js'
import { passTimeUntil } from '../pass-time.js'
import { failure, next, of, path, setup } from './helpers.js'

describe('a start that failed and worked all the same', () => {
  it('is found out at once, so that its box sleeps when it is idle', async () => {
    const clock = testClock()
    const { pool, engine } = await setup({ clock, idle: { stopAfter: '10m' } })
    engine.faults.fail('start', new Error('odd'), { at: 'after' })
    engine.faults.relayEvents(() => undefined)
    const found = next(pool, 'transition', ({ to }) => to === 'running')
    await failure(pool.ensure('a'), 'START_FAILED')
    expect((await found).reason).toBe('outside')
    const stopped = next(pool, 'transition', ({ to }) => to === 'stopped')
    await clock.advance(10 * 60_000)
    expect((await stopped).reason).toBe('idle')
  })

  it('keeps its slot until it is known to have failed', async () => {
    const { pool, engine, events } = await setup({ capacity: { maxRunning: 1, minUptime: 0 } })
    await pool.start()
    const starting = engine.faults.hold('start', { at: 'after' })
    const impatient = new AbortController()
    const gaveUp = pool.ensure('a', { signal: impatient.signal })
    await starting.reached
    impatient.abort(new Error('no more'))
    await expect(gaveUp).rejects.toThrow('no more')
    const asking = engine.faults.hold('inspect')
    starting.fail(new Error('odd'))
    const b = pool.ensure('b')
    await asking.reached
    expect(pool.stats().queued).toBe(1)
    asking.release()
    await b
    const order = of(events, 'transition').map(({ tenant, to }) => `${tenant} ${to}`)
    expect(order.indexOf('a stopping')).toBeLessThan(order.indexOf('b starting'))
    expect(path(events, 'a')).toMatch(/>running\(outside\)>stopping\(evicted\)>stopped\(evicted\)$/)
    expect(engine.box('a')?.state).toBe('stopped')
  })
})

describe('the slot of a start that nobody waits for any more', () => {
  const capacity = { maxRunning: 1, minUptime: 0, queueTimeout: 10_000 }

  it('is given back when the engine was lost over it, and is back', async () => {
    const clock = testClock()
    const { pool, engine } = await setup({ clock, capacity })
    await pool.start()
    const starting = engine.faults.hold('start')
    const impatient = new AbortController()
    const gaveUp = pool.ensure('a', { signal: impatient.signal })
    await starting.reached
    const down = next(pool, 'engine', ({ state }) => state === 'down')
    engine.down()
    await down
    impatient.abort(new Error('no more'))
    await expect(gaveUp).rejects.toThrow('no more')
    const up = next(pool, 'engine', ({ state }) => state === 'up')
    engine.up()
    await passTimeUntil(up, clock)
    expect((await passTimeUntil(pool.ensure('b'), clock)).state).toBe('running')
  })
})

describe('a box that slept though the call said that it failed', () => {
  for (const call of ['stop', 'pause'] as const)
    it(`is woken by the next caller, after a ${call} whose event is lost`, async () => {
      const { pool, engine } = await setup()
      await pool.ensure('a')
      engine.faults.relayEvents(() => undefined)
      engine.faults.fail(call, new Error('odd'), { at: 'after' })
      await expect(pool[call]('a')).rejects.toThrow('odd')
      await pool.ensure('a')
      expect(engine.box('a')?.state).toBe('running')
    })
})

describe('what others do to a box while it comes up', () => {
  it('is seen once it has come up', async () => {
    const clock = testClock()
    const { pool, engine } = await setup({ clock, box: { image: 'agent:1', ready: 'started' } })
    const paused = next(pool, 'transition', ({ to }) => to === 'paused')
    const running = next(pool, 'transition', ({ to }) => to === 'running')
    const waking = pool.ensure('a')
    await next(pool, 'transition', ({ to }) => to === 'starting')
    while (engine.box('a')?.state !== 'running') await clock.advance(0)
    engine.box('a')?.pause()
    await clock.advance(250)
    await running
    expect((await paused).reason).toBe('outside')
    await waking
  })
})

describe('a pool that is closed', () => {
  it('while a box was spared from eviction leaves no timer', async () => {
    const clock = testClock()
    let asked = (): void => undefined
    const vetoed = new Promise<void>((resolve) => {
      asked = resolve
    })
    const veto = (): boolean => {
      asked()
      return true
    }
    const { pool } = await setup({ clock, capacity: { maxRunning: 1, minUptime: 0 }, idle: { veto } })
    await pool.ensure('a')
    const b = failure(pool.ensure('b'), 'POOL_CLOSED')
    await vetoed
    await clock.advance(0)
    await pool.close({ drain: 0 })
    await b
    await clock.advance(0)
    expect(clock.pending).toEqual([])
  })
})
