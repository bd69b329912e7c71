import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { testClock } from '../../src/testing/index.js'
import { mountTmpfs, umount } from '../disk/trees.js'
import { failure, next, of, setup } from './helpers.js'
import { fill, LIMITED, secondsUntil, workspaceOf } from './quotas.js'

describe('a tenant over its limit', () => {
  it('cannot hide files from being counted', async () => {
    const clock = testClock()
    const world = await setup({ clock, box: LIMITED })
    const hidden = join(workspaceOf(world, 'a'), 'mounted')
    await world.pool.use('a', () => mkdir(hidden))
    mountTmpfs(hidden)
    try {
      expect(await secondsUntil(next(world.pool, 'quota'), clock)).toMatchObject({ over: true })
      const { message } = await failure(world.pool.ensure('a'), 'OVER_QUOTA')
      expect(message).toContain('another filesystem')
      expect(of(world.events, 'warning').map(({ code }) => code)).toEqual(['DISK_NOT_COUNTED'])
    } finally {
      umount(hidden)
    }
  })
})

describe('a disk that is nearly full', () => {
  it('is told of once, and makes everybody with a limit be measured at once', async () => {
    const clock = testClock()
    const world = await setup({ clock, box: { image: 'agent:1', limits: { disk: '1m' } } })
    const { pool } = world
    mountTmpfs(world.dataDir, '16m')
    try {
      await pool.ensure('a')
      await pool.ensure('b')
      // Beyond what the first measurements found, and between two of them.
      await clock.advance(30_000)
      const low = next(pool, 'warning')
      fill(world, 'a', 16_200_000)
      const stopped = next(pool, 'transition', ({ to }) => to === 'stopped')
      expect(await secondsUntil(low, clock)).toMatchObject({ code: 'DISK_LOW' })
      expect(await secondsUntil(stopped, clock)).toMatchObject({ tenant: 'a', reason: 'quota' })
      await clock.advance(5_000)
      expect(pool.get('b')?.state).toBe('running')
      expect(of(world.events, 'warning')).toHaveLength(1)
    } finally {
      await pool.close()
      umount(world.dataDir)
    }
  })
})
