import { describe, expect, it } from 'vitest'
import { testClock } from '../../src/testing/index.js'
import { next, setup } from './helpers.js'

const MINUTE = 60_000

describe('reaping', () => {
  it('does not let a stop that hangs keep others awake', async () => {
    const clock = testClock()
    const { pool, engine } = await setup({ clock, idle: { stopAfter: '10m' } })
    await pool.ensure('a')
    await clock.advance(1_000)
    await pool.ensure('b')
    const hung = engine.faults.hold('stop', { when: ({ slug }) => slug === 'a' })
    const stopped = next(pool, 'transition', ({ tenant, to }) => tenant === 'b' && to === 'stopped')
    await clock.advance(10 * MINUTE)
    await hung.reached
    await stopped
    hung.release()
  })

  it('asks for one veto at a time, also when the veto looks at the box', async () => {
    const clock = testClock()
    let asked = 0
    let looked = (): void => undefined
    const hasLooked = new Promise<void>((resolve) => {
      looked = resolve
    })
    const { pool } = await setup({
      clock,
      idle: {
        stopAfter: '10m',
        veto: async (box) => {
          asked++
          await (await box.fetch('/healthz')).text()
          looked()
          return new Promise<boolean>(() => undefined)
        },
      },
    })
    await pool.ensure('a')
    await clock.advance(10 * MINUTE)
    await hasLooked
    await clock.advance(1_000)
    expect(asked).toBe(1)
  })
})
