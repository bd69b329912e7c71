import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { failure, next, of, setup } from './helpers.js'

describe('a stranger under a tenant’s name', () => {
  it('is no reason to believe the engine lost, nor our box alive', async () => {
    const { pool, engine, events } = await setup()
    await pool.ensure('a')
    const gone = next(pool, 'transition', ({ to }) => to === 'absent')
    engine.box('a')?.remove()
    const stranger = engine.plant({ name: 'tbx-test-a' })
    await gone
    for (let i = 0; i < 3; i++) await failure(pool.ensure('a'), 'FOREIGN_BOX')
    stranger.remove()
    expect((await pool.ensure('a')).generation).toBe(2)
    expect([...of(events, 'engine'), ...of(events, 'warning')]).toEqual([])
  })

  it('does not keep the tenant’s data from being deleted', async () => {
    const { pool, engine } = await setup()
    await pool.ensure('a')
    await pool.remove('a')
    const stranger = engine.plant({ name: 'tbx-test-a' })
    await pool.remove('a', { data: 'delete' })
    expect(pool.get('a')).toBeUndefined()
    expect(engine.boxes.at(-1)).toBe(stranger)
  })
})

describe('a data folder', () => {
  it('that cannot be used is told with what to do, and leaves no lock behind', async () => {
    const { dataDir, again } = await setup()
    await writeFile(join(dataDir, 'file'), '')
    const { details, message } = await failure(
      again({ dataDir: join(dataDir, 'file', 'data') }).start(),
      'INVALID_OPTION',
    )
    expect(details).toMatchObject({ option: 'dataDir', got: 'ENOTDIR' })
    expect(message).toContain('Make it writable')
  })
})

describe('a running box whose folder is gone', () => {
  it('keeps no pool from starting, and is started afresh', async () => {
    const { pool, again, dataDir, engine, events } = await setup()
    await pool.ensure('a')
    await pool.ensure('b')
    await pool.close()
    await rm(join(dataDir, 'a'), { recursive: true })
    const second = again()
    expect(await second.start()).toMatchObject({ adopted: 2 })
    expect(of(events, 'warning').map(({ code, tenant }) => [code, tenant])).toEqual([['GATEWAY_CLOSED', 'a']])
    expect([...second.list()].map(({ tenant, state }) => `${tenant} ${state}`).sort()).toEqual([
      'a running',
      'b running',
    ])
    await second.stop('a')
    expect((await second.ensure('a')).state).toBe('running')
    expect(engine.maxLive('a')).toBe(1)
  })
})
