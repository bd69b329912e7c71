import { rename, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type TestClock, testClock } from '../../src/testing/index.js'
import { failure, of, setup } from './helpers.js'

describe('the last activity', () => {
  it('of a tenant whose wake never got as far as a folder is nothing to save', async () => {
    const { pool, engine, events } = await setup()
    await pool.start()
    engine.down()
    await failure(pool.ensure('a', { timeout: 10 }), 'TIMEOUT')
    await pool.close()
    expect(of(events, 'warning')).toEqual([])
  })

  it('is at most five seconds old on the disk while an operation of a handle goes on', async () => {
    const clock = testClock(Date.now())
    const { pool, dataDir } = await setup({ clock })
    const box = await pool.ensure('a')
    await clock.advance(20_000)
    await box.connect()
    await expectFresh(clock, dataDir)
  })

  it('is at most five seconds old on the disk while a wake goes on', async () => {
    const clock = testClock(Date.now())
    const { pool, engine, dataDir } = await setup({ clock })
    await pool.ensure('a')
    await pool.stop('a')
    await clock.advance(20_000)
    const hold = engine.faults.hold('start')
    const waking = pool.ensure('a')
    await hold.reached
    await expectFresh(clock, dataDir)
    hold.release()
    await waking
  })

  it('of a tenant whom somebody waits for is now', async () => {
    const clock = testClock()
    const { pool, engine } = await setup({ clock })
    await pool.ensure('a')
    await pool.stop('a')
    const hold = engine.faults.hold('start')
    const waking = pool.ensure('a')
    await hold.reached
    clock.set(clock.now() + 3_600_000)
    await clock.advance(10_000)
    expect(pool.get('a')?.lastActivity).toBe(clock.now())
    hold.release()
    await waking
  })

  it('that cannot be saved is reported', async () => {
    const { pool, dataDir, events } = await setup()
    await pool.ensure('a')
    await rename(join(dataDir, 'a'), join(dataDir, 'elsewhere'))
    await writeFile(join(dataDir, 'a'), 'in the way')
    await pool.close()
    expect(of(events, 'warning').map(({ code }) => code)).toEqual(['ACTIVITY_NOT_SAVED'])
  })
})

/** What a crash would leave of tenant `a`'s last activity, once it had the time to be written. */
async function expectFresh(clock: TestClock, dataDir: string): Promise<void> {
  for (let second = 0; second < 15; second++) {
    await clock.advance(1_000)
    const { mtimeMs } = await stat(join(dataDir, 'a', 'tenant.json'))
    if (second > 5) expect(clock.now() - mtimeMs).toBeLessThanOrEqual(5_000)
  }
}
