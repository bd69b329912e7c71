import { spawnSync } from 'node:child_process'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import type { PoolOptions } from '../../src/index.js'
import { loopDevices, mountsBelow, umount } from '../disk/trees.js'
import { useAgentImage, type World, world } from './world.js'

const image = useAgentImage()
const MIB = 1024 ** 2

/** Writes a file as large as it is told, and prints what came of it. */
const WRITE = `
const { appendFileSync } = require('node:fs')
const [file, bytes] = process.argv.slice(1)
let outcome = 'written'
try {
  for (let i = 0; i < bytes; i += 65536) appendFileSync(file, Buffer.alloc(65536, 1))
} catch ({ code }) {
  outcome = code
}
process.stdout.write(outcome)`

/** A pool with disk images, of which nothing is left mounted when its test is over. */
async function imageWorld(options: Partial<PoolOptions> = {}): Promise<World> {
  let dataDir: string | undefined
  // Comes after what the world itself does when the test is over.
  onTestFinished(() => {
    if (dataDir === undefined) return
    umount(dataDir)
    spawnSync('rm', ['-rf', dataDir])
    expect(loopDevices(dataDir)).toEqual([])
  })
  const made = await world(image, { disk: 'image', box: { image, limits: { disk: '16m' } }, ...options })
  dataDir = made.dataDir
  return made
}

it('a box that fills its disk hears ENOSPC from the kernel, and nobody else does', async () => {
  const { pool, dataDir } = await imageWorld()
  await pool.use('a', async (box) => {
    const mounts = (await box.exec(['/bin/cat', '/proc/mounts'])).stdout.split('\n')
    for (const folder of ['/workspace', '/run/tenantbox'])
      expect(mounts.find((line) => line.includes(` ${folder} `))).toMatch(/ ext4 rw,nosuid,nodev/)
    const write = (file: string, bytes: number) => box.exec(['/bin/node', '-e', WRITE, file, String(bytes)])
    expect((await write('/workspace/big', 100 * MIB)).stdout).toBe('ENOSPC')
    // The two folders are one disk.
    expect((await write('/run/tenantbox/big', MIB)).stdout).toBe('ENOSPC')
    expect((await box.fetch('/healthz')).status).toBe(200)
  })
  expect(statSync(join(dataDir, 'a', 'workspace', 'big')).size).toBeLessThan(16 * MIB)
  expect(await pool.send('b', 'remember apples').text()).toBe('apples\n')
  await pool.stop('a')
  await rm(join(dataDir, 'a', 'workspace', 'big'))
  expect(await pool.send('a', 'remember room').text()).toBe('room\n')
})

it('a box that outlives its pool keeps its disk, which the next pool mounts again', async () => {
  const { pool, dataDir, again } = await imageWorld()
  await pool.send('a', 'remember before').text()
  await pool.close()
  expect(mountsBelow(dataDir)).toEqual([])
  const second = again()
  expect(await second.start()).toMatchObject({ adopted: 1 })
  expect(await second.send('a', 'remember after').text()).toBe('before\nafter\n')
  expect(second.get('a')?.generation).toBe(1)
  expect(loopDevices(dataDir)).toHaveLength(1)
  expect(readFileSync(join(dataDir, 'a', 'workspace', 'notes'), 'utf8')).toBe('before\nafter\n')
  // And the gateway's files are the box's.
  writeFileSync(join(dataDir, 'a', 'workspace', 'notes'), 'from the gateway\n')
  expect(await second.send('a', 'what do you know?').text()).toBe('from the gateway\n')
  expect(await second.remove('a', { data: 'delete' })).toEqual({ leftBehind: [] })
  expect(mountsBelow(dataDir)).toEqual([])
  expect(loopDevices(dataDir)).toEqual([])
})

it('a disk grows when its limit does', async () => {
  const { pool } = await imageWorld()
  const room = (): Promise<number> =>
    pool.use('a', async (box) => {
      const script =
        "const { blocks, bsize } = fs.statfsSync('/workspace'); process.stdout.write(String(blocks * bsize))"
      return Number((await box.exec(['/bin/node', '-e', script])).stdout)
    })
  await pool.send('a', 'remember apples').text()
  expect(await room()).toBeLessThan(16 * MIB)
  pool.update({ box: { image, limits: { disk: '48m' } } })
  await pool.stop('a')
  expect(await room()).toBeGreaterThan(32 * MIB)
  expect(await pool.send('a', 'what do you know?').text()).toBe('apples\n')
})
