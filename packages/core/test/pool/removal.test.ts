import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { makeDeepTree } from '../disk/trees.js'
import { failure, of, type Setup, setup } from './helpers.js'

const trash = ({ dataDir }: Setup): Promise<string[]> => readdir(join(dataDir, '.tenantbox', 'trash'))

describe("remove with data: 'delete'", () => {
  it('deletes all of a tenant, and nothing beside', async () => {
    const world = await setup()
    const { pool, dataDir, events } = world
    for (const tenant of ['a', 'b']) await pool.ensure(tenant)
    const outside = join(dataDir, 'b', 'workspace', 'precious')
    await writeFile(outside, 'kept')
    await symlink(join(dataDir, 'b', 'workspace'), join(dataDir, 'a', 'workspace', 'escape'))
    await symlink(outside, join(dataDir, 'a', 'run', 'escape'))
    await writeFile(join(dataDir, 'a', 'mailbox', 'message'), 'unread')
    expect(await pool.remove('a', { data: 'delete' })).toEqual({ leftBehind: [] })
    expect(await readdir(dataDir)).toEqual(['.tenantbox', 'b'])
    expect(await trash(world)).toEqual([])
    expect(await readFile(outside, 'utf8')).toBe('kept')
    // The engine's word that the box is gone may still be looked into.
    await vi.waitFor(() => expect(pool.get('a')).toBeUndefined())
    await pool.close()
    expect(of(events, 'warning')).toEqual([])
  })

  it('keeps the files unless told to', async () => {
    const { pool, dataDir } = await setup()
    await pool.ensure('a')
    await writeFile(join(dataDir, 'a', 'workspace', 'notes'), 'kept')
    expect(await pool.remove('a')).toEqual({ leftBehind: [] })
    await pool.ensure('a')
    expect(await readFile(join(dataDir, 'a', 'workspace', 'notes'), 'utf8')).toBe('kept')
  })

  it('does not keep the tenant waiting for a tree that takes long to delete, nor the pool from closing or starting', async () => {
    const world = await setup()
    const { pool, dataDir } = world
    await pool.ensure('a')
    makeDeepTree(join(dataDir, 'a', 'workspace'), 3_000)
    const removed = failure(pool.remove('a', { data: 'delete' }), 'POOL_CLOSED')
    await vi.waitFor(async () => expect(await trash(world)).toHaveLength(1))
    expect((await pool.ensure('a')).state).toBe('running')
    expect(await trash(world)).toHaveLength(1)
    await pool.close()
    await removed
    expect(await trash(world)).toHaveLength(1)
    const second = world.again()
    await second.start()
    expect((await second.ensure('a')).state).toBe('running')
    expect(await trash(world)).toHaveLength(1)
    await vi.waitFor(async () => expect(await trash(world)).toEqual([]), { timeout: 60_000 })
    await second.close()
  }, 120_000)

  it('may be given up by its caller, and is carried through all the same', async () => {
    const world = await setup()
    const { pool, dataDir } = world
    await pool.ensure('a')
    makeDeepTree(join(dataDir, 'a', 'workspace'), 500)
    const controller = new AbortController()
    const removed = pool.remove('a', { data: 'delete', signal: controller.signal })
    await vi.waitFor(async () => expect(await trash(world)).toHaveLength(1))
    controller.abort(new Error('never mind'))
    await expect(removed).rejects.toThrow('never mind')
    await vi.waitFor(async () => expect(await trash(world)).toEqual([]), { timeout: 30_000 })
  }, 60_000)

  it('of a tenant without box or files does nothing', async () => {
    const { pool } = await setup()
    expect(await pool.remove('nobody', { data: 'delete' })).toEqual({ leftBehind: [] })
    expect([...pool.list()]).toEqual([])
  })
})

describe('a new process', () => {
  it('clears away what a crash left half made or half deleted', async () => {
    const world = await setup()
    const own = join(world.dataDir, '.tenantbox')
    for (const folder of ['trash/a.1/workspace', 'new/half/workspace'])
      mkdirSync(join(own, folder), { recursive: true })
    writeFileSync(join(own, 'trash', 'a.1', 'workspace', 'file'), 'x')
    await world.pool.start()
    await vi.waitFor(async () => expect(await trash(world)).toEqual([]))
    expect(existsSync(join(own, 'new', 'half'))).toBe(false)
  })
})

describe('strays', () => {
  it('are what lies in the data folder and is no tenant’s, as of now', async () => {
    const { pool, dataDir } = await setup()
    await pool.ensure('a')
    expect(await pool.strays()).toEqual([])
    mkdirSync(join(dataDir, 'photos'))
    writeFileSync(join(dataDir, 'notes.txt'), 'x')
    mkdirSync(join(dataDir, 'b'))
    writeFileSync(join(dataDir, 'b', 'tenant.json'), '{"version":1,"id":"somebody else"}')
    const strays = await pool.strays()
    expect(strays.map(({ name }) => name).sort()).toEqual(['b', 'notes.txt', 'photos'])
    for (const { reason } of strays) expect(reason).not.toBe('')
    expect(await readdir(dataDir)).toContain('photos')
  })
})
