import { describe, expect, it } from 'vitest'
import { testClock } from '../../src/testing/index.js'
import { passTimeUntil } from '../pass-time.js'
import { next, of, setup } from './helpers.js'

describe('an engine lost in the middle of a rebuild', () => {
  it.each(
    (['for a moment', 'for long'] as const).flatMap((outage) =>
      (['setAside', 'create', 'start', 'remove'] as const).flatMap((call) =>
        (['before', 'during', 'after'] as const).map((at) => [outage, at, call] as const),
      ),
    ),
  )('%s, %s %s, leaves one box, and the rebuild is done when it is back', async (outage, at, call) => {
    const clock = testClock()
    const { pool, engine, events } = await setup({ clock, timeouts: { wake: '365d' } })
    await pool.ensure('a')
    await pool.stop('a')
    pool.update({ box: { image: 'agent:1', env: { RELEASE: '2' } } })
    const hold = engine.faults.hold(call, { at })
    const waking = pool.ensure('a')
    await passTimeUntil(hold.reached, clock)
    const down = next(pool, 'engine', ({ state }) => state === 'down')
    engine.down()
    if (outage === 'for a moment') engine.up()
    hold.release()
    await passTimeUntil(down, clock)
    engine.up()
    await passTimeUntil(waking, clock)
    expect(pool.get('a')).toMatchObject({ state: 'running', drifted: false })
    // One that was ready already is not made again.
    if (call === 'remove') expect(engine.calls('create')).toBe(2)
    await clock.advance(20_000)
    expect(engine.boxes.filter(({ state }) => state !== 'removed').map(({ name }) => name)).toEqual([
      'tbx-test-a',
    ])
    expect(engine.maxLive('a')).toBe(1)
    expect(of(events, 'warning')).toEqual([])
    // And once more.
    await pool.stop('a')
    pool.update({ box: { image: 'agent:1', env: { RELEASE: '3' } } })
    await passTimeUntil(pool.ensure('a'), clock)
    expect(engine.boxes.filter(({ state }) => state !== 'removed')).toHaveLength(1)
  })
})
