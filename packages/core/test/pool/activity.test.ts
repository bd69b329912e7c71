import { rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
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

  it('that cannot be saved is reported', async () => {
    const { pool, dataDir, events } = await setup()
    await pool.ensure('a')
    await rename(join(dataDir, 'a'), join(dataDir, 'elsewhere'))
    await writeFile(join(dataDir, 'a'), 'in the way')
    await pool.close()
    expect(of(events, 'warning').map(({ code }) => code)).toEqual(['ACTIVITY_NOT_SAVED'])
  })
})
