import { describe, expect, it } from 'vitest'
import { testClock } from '../../src/testing/index.js'
import { failure, setup } from './helpers.js'

const DAY = 24 * 60 * 60_000

describe('the pool’s clock', () => {
  it('dates last activities, whatever the machine’s own says', async () => {
    const clock = testClock(Date.now() + 365 * DAY)
    const { pool, again } = await setup({ clock, idle: { stopAfter: '30m' } })
    await pool.ensure('a')
    await pool.close()
    const second = again()
    await second.start()
    expect(second.get('a')?.lastActivity).toBeGreaterThan(clock.now() - 60_000)
  })

  it('bounds the wait for a dead box’s last lines', async () => {
    const clock = testClock()
    const { pool, engine } = await setup({ clock }, { main: () => 3, agent: false })
    const hold = engine.faults.hold('logs')
    let told = false
    const failed = failure(pool.ensure('a'), 'START_FAILED').finally(() => {
      told = true
    })
    await hold.reached
    await clock.advance(1_000)
    for (let i = 0; i < 20; i++) await clock.advance(0)
    expect(told).toBe(true)
    expect((await failed).details).toMatchObject({ phase: 'ready', code: 3 })
    expect((await failed).details.lastLogs).toEqual([expect.stringContaining('no more logs')])
  })
})
