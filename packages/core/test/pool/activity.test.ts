import { rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { testClock } from '../../src/testing/index.js'
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
