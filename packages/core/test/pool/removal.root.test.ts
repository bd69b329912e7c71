import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { mountTmpfs, umount } from '../disk/trees.js'
import { of, setup } from './helpers.js'

describe("remove with data: 'delete'", () => {
  it('says what it could not delete, and tries again at the next start', async () => {
    const world = await setup()
    const { pool, dataDir, events } = world
    await pool.ensure('a')
    const mounted = join(dataDir, 'a', 'workspace', 'mounted')
    await mkdir(mounted)
    await writeFile(join(dataDir, 'a', 'workspace', 'notes'), 'gone')
    mountTmpfs(mounted)
    try {
      const { leftBehind } = await pool.remove('a', { data: 'delete' })
      const [trashed] = await readdir(join(dataDir, '.tenantbox', 'trash'))
      expect(leftBehind).toEqual([`${trashed}/workspace`])
      expect(await readdir(join(dataDir, '.tenantbox', 'trash', trashed as string, 'workspace'))).toEqual([
        'mounted',
      ])
      // The tenant itself is free to come anew.
      expect((await pool.ensure('a')).state).toBe('running')
      expect(await readdir(join(dataDir, 'a', 'workspace'))).toEqual([])
      await pool.close()
      await world.again().start()
      await vi.waitFor(() => expect(of(events, 'warning')).toHaveLength(1))
      expect(of(events, 'warning')[0]).toMatchObject({
        code: 'LEFT_BEHIND',
        message: expect.stringContaining(leftBehind[0] as string),
      })
    } finally {
      // It has moved along.
      umount(dataDir)
    }
  })
})
