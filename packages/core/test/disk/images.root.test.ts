import { spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { link, open, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import type { PoolOptions } from '../../src/index.js'
import { failure, of, type Setup, setup } from '../pool/helpers.js'
import { loopDevices, mount, mountsBelow, run, umount } from './trees.js'

const MIB = 1024 ** 2
const IMAGE = { disk: 'image', box: { image: 'agent:1', limits: { disk: '16m' } } } as const

/** A pool whose mounts do not outlive its test, whatever becomes of it. */
async function world(options: Partial<PoolOptions> = {}): Promise<Setup> {
  const made = await setup({ ...IMAGE, ...options })
  const { dataDir } = made
  onTestFinished(() => {
    umount(dataDir)
    spawnSync('rm', ['-rf', dataDir])
    expect(loopDevices(dataDir)).toEqual([])
  })
  return made
}

const limit = (disk: `${number}m`): Pick<PoolOptions, 'box'> => ({
  box: { image: 'agent:1', limits: { disk } },
})
const warnings = ({ events }: Setup): string[] => of(events, 'warning').map(({ code }) => code)

function sizeOf({ dataDir }: Setup, tenant: string): number {
  return Number(
    run(
      'findmnt',
      '--bytes',
      '--noheadings',
      '--output',
      'SIZE',
      '--target',
      join(dataDir, tenant, 'workspace'),
    ),
  )
}

function fillUp(folder: string): string | undefined {
  try {
    for (let i = 0; ; i++) writeFileSync(join(folder, `${i}`), Buffer.alloc(MIB, 1))
  } catch (error) {
    return (error as NodeJS.ErrnoException).code
  }
}

describe('a tenant’s disk image', () => {
  it('holds workspace and run at their usual places, no setuid programs and no devices', async () => {
    const made = await world()
    const { pool, dataDir } = made
    const { workspaceDir } = await pool.ensure('a')
    expect(workspaceDir).toBe(join(dataDir, 'a', 'workspace'))
    const mounts = run('findmnt', '--raw', '--noheadings', '--output', 'TARGET,FSTYPE,OPTIONS').split('\n')
    for (const folder of ['disk', 'workspace', 'run'])
      expect(mounts.find((line) => line.startsWith(`${join(dataDir, 'a', folder)} `))).toMatch(
        / ext4 \S*nosuid,nodev/,
      )
    expect(mountsBelow(dataDir)).toHaveLength(3)
    expect(statSync(join(dataDir, 'a', 'disk.img')).mode & 0o777).toBe(0o600)
    // It takes hardly any room until it is used.
    expect(statSync(join(dataDir, 'a', 'disk.img')).blocks * 512).toBeLessThan(2 * MIB)
    expect(await pool.send('a', 'hello').text()).toBe('hello')
    expect(warnings(made)).toEqual([])
  })

  it('is full when it is full, and its neighbours and the gateway do not feel it', async () => {
    const { pool, dataDir } = await world()
    for (const tenant of ['a', 'b']) await pool.ensure(tenant)
    expect(fillUp(join(dataDir, 'a', 'workspace'))).toBe('ENOSPC')
    expect(readFileSync(join(dataDir, 'a', 'workspace', '0'))).toHaveLength(MIB)
    writeFileSync(join(dataDir, 'b', 'workspace', 'notes'), Buffer.alloc(4 * MIB))
    expect(await pool.send('a', 'still here').text()).toBe('still here')
    await pool.stop('a')
    expect(await pool.send('a', 'and again').text()).toBe('and again')
  })

  it('gives back what is deleted in it', async () => {
    const { pool, dataDir } = await world()
    await pool.ensure('a')
    const blocks = (): number => statSync(join(dataDir, 'a', 'disk.img')).blocks * 512
    fillUp(join(dataDir, 'a', 'workspace'))
    run('sync', '--file-system', join(dataDir, 'a', 'workspace'))
    expect(blocks()).toBeGreaterThan(10 * MIB)
    for (const name of readdirSync(join(dataDir, 'a', 'workspace')))
      await rm(join(dataDir, 'a', 'workspace', name))
    run('sync', '--file-system', join(dataDir, 'a', 'workspace'))
    await vi.waitFor(() => expect(blocks()).toBeLessThan(4 * MIB), { timeout: 10_000 })
  })

  it('is mounted as long as the pool is open, asleep or awake, and again in the next process', async () => {
    const made = await world()
    const { pool, dataDir } = made
    await pool.ensure('a')
    writeFileSync(join(dataDir, 'a', 'workspace', 'notes'), 'kept')
    await pool.remove('a')
    expect(mountsBelow(dataDir)).toHaveLength(3)
    await pool.close()
    expect(mountsBelow(dataDir)).toEqual([])
    expect(loopDevices(dataDir)).toEqual([])
    expect(readdirSync(join(dataDir, 'a', 'workspace'))).toEqual([])
    const second = made.again()
    await second.start()
    expect(readFileSync(join(dataDir, 'a', 'workspace', 'notes'), 'utf8')).toBe('kept')
    expect(await second.send('a', 'hello').text()).toBe('hello')
    await second.close()
    expect(warnings(made)).toEqual([])
  })

  it('is taken over, mounted or half mounted, after a crash', async () => {
    const made = await world()
    const { pool, dataDir } = made
    for (const tenant of ['a', 'b']) {
      await pool.ensure(tenant)
      writeFileSync(join(dataDir, tenant, 'workspace', 'notes'), tenant)
    }
    await pool.close()
    // What a killed process leaves: all of one tenant mounted, some of the other.
    for (const tenant of ['a', 'b'])
      mount(
        '-t',
        'ext4',
        '-o',
        'loop,nosuid,nodev',
        join(dataDir, tenant, 'disk.img'),
        join(dataDir, tenant, 'disk'),
      )
    mount('--bind', join(dataDir, 'a', 'disk', 'workspace'), join(dataDir, 'a', 'workspace'))
    mount('--bind', join(dataDir, 'a', 'disk', 'run'), join(dataDir, 'a', 'run'))
    const second = made.again()
    await second.start()
    expect(mountsBelow(dataDir)).toHaveLength(6)
    expect(loopDevices(dataDir)).toHaveLength(2)
    for (const tenant of ['a', 'b'])
      expect(readFileSync(join(dataDir, tenant, 'workspace', 'notes'), 'utf8')).toBe(tenant)
    await second.close()
    expect(mountsBelow(dataDir)).toEqual([])
  })

  it('has one loop device, also when somebody else still holds it', async () => {
    const made = await world()
    const { pool, dataDir } = made
    await pool.ensure('a')
    // As a box does that outlives the pool.
    const elsewhere = join(dataDir, 'elsewhere')
    mkdirSync(elsewhere)
    mount('--bind', join(dataDir, 'a', 'workspace'), elsewhere)
    await pool.close()
    writeFileSync(join(elsewhere, 'notes'), 'written meanwhile')
    const second = made.again()
    await second.start()
    expect(loopDevices(dataDir)).toHaveLength(1)
    expect(readFileSync(join(dataDir, 'a', 'workspace', 'notes'), 'utf8')).toBe('written meanwhile')
    await second.close()
    umount(elsewhere)
    run('e2fsck', '-f', '-n', join(dataDir, 'a', 'disk.img'))
  })

  it('goes with its tenant, open files or not', async () => {
    const { pool, dataDir } = await world()
    const { workspaceDir } = await pool.ensure('a')
    writeFileSync(join(workspaceDir, 'notes'), 'x')
    const held = await open(join(workspaceDir, 'notes'))
    expect(await pool.remove('a', { data: 'delete' })).toEqual({ leftBehind: [] })
    expect(existsSync(join(dataDir, 'a'))).toBe(false)
    expect(mountsBelow(dataDir)).toEqual([])
    await held.close()
    await vi.waitFor(() => expect(loopDevices(dataDir)).toEqual([]))
    await pool.ensure('a')
    expect(readdirSync(workspaceDir)).toEqual([])
  })

  it('stays mounted, and is told of, when it is in use at the close', async () => {
    const made = await world()
    const { pool, dataDir } = made
    const { workspaceDir } = await pool.ensure('a')
    writeFileSync(join(workspaceDir, 'notes'), 'x')
    const held = await open(join(workspaceDir, 'notes'))
    await pool.close()
    expect(warnings(made)).toEqual(['DISK_IMAGE_FAILED'])
    await held.close()
    const second = made.again()
    expect(await second.send('a', 'hello').text()).toBe('hello')
    await second.close()
    expect(mountsBelow(dataDir)).toEqual([])
  })
})

describe('a limit', () => {
  it('that grows makes the disk grow, with all that is in it', async () => {
    const made = await world()
    const { pool, dataDir } = made
    await pool.ensure('a')
    writeFileSync(join(dataDir, 'a', 'workspace', 'notes'), Buffer.alloc(5 * MIB, 7))
    const before = sizeOf(made, 'a')
    pool.update(limit('64m'))
    // As long as the box runs it stays as it is.
    await pool.send('a', 'hello').text()
    expect(sizeOf(made, 'a')).toBe(before)
    await pool.stop('a')
    expect(await pool.send('a', 'hello').text()).toBe('hello')
    expect(sizeOf(made, 'a')).toBeGreaterThan(3 * before)
    expect(readFileSync(join(dataDir, 'a', 'workspace', 'notes')).equals(Buffer.alloc(5 * MIB, 7))).toBe(true)
    await pool.close()
    run('e2fsck', '-f', '-n', join(dataDir, 'a', 'disk.img'))
    expect(warnings(made)).toEqual([])
  })

  it('that cannot be followed now is told of once, and the tenant goes on with what it has', async () => {
    const made = await world()
    const { pool } = made
    const { workspaceDir } = await pool.ensure('a')
    const before = sizeOf(made, 'a')
    writeFileSync(join(workspaceDir, 'notes'), 'x')
    const held = await open(join(workspaceDir, 'notes'))
    pool.update(limit('64m'))
    for (let i = 0; i < 2; i++) {
      await pool.stop('a')
      expect(await pool.send('a', 'hello').text()).toBe('hello')
    }
    expect(sizeOf(made, 'a')).toBe(before)
    expect(warnings(made)).toEqual(['DISK_NOT_GROWN'])
    await held.close()
  })

  it('that shrinks leaves the disk as it is, and says so once', async () => {
    const made = await world()
    const { pool } = made
    await pool.ensure('a')
    const before = sizeOf(made, 'a')
    pool.update(limit('8m'))
    for (let i = 0; i < 2; i++) {
      await pool.stop('a')
      await pool.ensure('a')
    }
    expect(sizeOf(made, 'a')).toBe(before)
    expect(warnings(made)).toEqual(['DISK_NOT_SHRUNK'])
  })

  it('that is too small for a filesystem is refused', async () => {
    const { pool } = await world(limit('1m'))
    expect((await failure(pool.ensure('a'), 'INVALID_OPTION')).details.option).toBe('box.limits.disk')
  })

  it('that is no limit makes no image', async () => {
    const { pool, dataDir } = await world({ box: { image: 'agent:1' } })
    await pool.ensure('a')
    expect(mountsBelow(dataDir)).toEqual([])
    expect(existsSync(join(dataDir, 'a', 'disk.img'))).toBe(false)
  })
})

describe('a tenant from before there were images', () => {
  it('has its files moved in at its next wake: owners, modes, links and sparse files', async () => {
    const made = await world({ disk: 'watch' })
    const { pool, dataDir } = made
    const { workspaceDir } = await pool.ensure('a')
    writeFileSync(join(workspaceDir, 'notes'), 'kept', { mode: 0o640 })
    run('chown', '12345:12345', join(workspaceDir, 'notes'))
    await link(join(workspaceDir, 'notes'), join(workspaceDir, 'same'))
    symlinkSync('/etc/hostname', join(workspaceDir, 'escape'))
    run('truncate', '--size', '1G', join(workspaceDir, 'sparse'))
    await pool.close({ boxes: 'stop' })
    const second = made.again({ disk: 'image' })
    await second.ensure('a')
    expect(mountsBelow(dataDir)).toHaveLength(3)
    const { uid, mode, nlink } = statSync(join(workspaceDir, 'notes'))
    expect({ uid, mode: mode & 0o777, nlink }).toEqual({ uid: 12345, mode: 0o640, nlink: 2 })
    expect(run('readlink', join(workspaceDir, 'escape')).trim()).toBe('/etc/hostname')
    expect(statSync(join(workspaceDir, 'sparse')).size).toBe(1024 * MIB)
    await second.close()
    // Nothing of it is left beneath.
    expect(readdirSync(workspaceDir)).toEqual([])
    expect(warnings(made)).toEqual([])
  })

  it('is refused while it has more than the limit', async () => {
    const made = await world({ disk: 'watch', box: { image: 'agent:1' } })
    const { workspaceDir } = await made.pool.ensure('a')
    writeFileSync(join(workspaceDir, 'big'), Buffer.alloc(20 * MIB))
    await made.pool.close({ boxes: 'stop' })
    const second = made.again(IMAGE)
    expect((await failure(second.ensure('a'), 'OVER_QUOTA')).details.limit).toBe(16 * MIB)
    expect(mountsBelow(made.dataDir)).toEqual([])
    await rm(join(workspaceDir, 'big'))
    // The filesystem itself takes a little of the room too.
    writeFileSync(join(workspaceDir, 'big'), Buffer.alloc(15.5 * MIB))
    await failure(second.ensure('a'), 'OVER_QUOTA')
    expect(readdirSync(workspaceDir)).toEqual(['big'])
    await rm(join(workspaceDir, 'big'))
    await second.ensure('a')
    await second.close()
  })

  it('loses nothing when the process dies in the middle of it', async () => {
    const made = await world({ disk: 'watch' })
    const { pool, dataDir } = made
    const { workspaceDir } = await pool.ensure('a')
    writeFileSync(join(workspaceDir, 'notes'), 'kept')
    await pool.close({ boxes: 'stop' })
    // An image that is not finished, and mounted.
    const fresh = join(dataDir, '.tenantbox', 'new', 'half')
    mkdirSync(join(fresh, 'mount'), { recursive: true })
    run('truncate', '--size', '8M', join(fresh, 'disk.img'))
    run('mkfs.ext4', '-q', '-F', join(fresh, 'disk.img'))
    mount('-o', 'loop', join(fresh, 'disk.img'), join(fresh, 'mount'))
    const second = made.again({ disk: 'image' })
    await second.ensure('a')
    expect(readFileSync(join(workspaceDir, 'notes'), 'utf8')).toBe('kept')
    await vi.waitFor(() => expect(readdirSync(join(dataDir, '.tenantbox', 'trash'))).toEqual([]))
    expect(loopDevices(join(dataDir, '.tenantbox'))).toEqual([])
    await second.close()
    expect(warnings(made)).toEqual([])
  })

  it('that has files beneath its image all the same keeps them, and they are told of', async () => {
    const made = await world()
    const { workspaceDir } = await made.pool.ensure('a')
    await made.pool.close()
    writeFileSync(join(workspaceDir, 'lost'), 'x')
    const second = made.again()
    await second.start()
    expect(warnings(made)).toEqual(['DISK_HIDES_FILES'])
    expect(readdirSync(workspaceDir)).toEqual([])
    await second.close()
    expect(readdirSync(workspaceDir)).toEqual(['lost'])
  })
})

describe('what cannot be', () => {
  it('a start, leaves nothing mounted', async () => {
    const made = await world()
    await made.pool.ensure('a')
    await made.pool.close({ boxes: 'stop' })
    made.engine.down()
    await failure(made.again().start(), 'ENGINE_UNAVAILABLE')
    expect(mountsBelow(made.dataDir)).toEqual([])
    expect(loopDevices(made.dataDir)).toEqual([])
  })

  it('is said at the start, refused under strict, and watched instead', async () => {
    const made = await world()
    run('chown', '65534:65534', made.dataDir)
    process.seteuid?.(65534)
    try {
      const { warnings: told } = await made.pool.start()
      expect(told).toMatchObject([{ code: 'NO_DISK_IMAGES', message: expect.stringContaining('root') }])
      expect((await made.pool.ensure('a')).state).toBe('running')
      expect(existsSync(join(made.dataDir, 'a', 'disk.img'))).toBe(false)
      await made.pool.close()
      const strict = made.again({ strict: true })
      expect((await failure(strict.start(), 'INVALID_OPTION')).message).toContain('NO_DISK_IMAGES')
    } finally {
      process.seteuid?.(0)
    }
  })

  it('a corrupt image, harms its tenant alone', async () => {
    const made = await world()
    for (const tenant of ['a', 'b']) await made.pool.ensure(tenant)
    await made.pool.close({ boxes: 'stop' })
    await rename(join(made.dataDir, 'a', 'disk.img'), join(made.dataDir, 'whole.img'))
    run('truncate', '--size', '16M', join(made.dataDir, 'a', 'disk.img'))
    const second = made.again()
    await second.start()
    expect((await failure(second.ensure('a'), 'START_FAILED')).details.phase).toBe('create')
    expect((await second.ensure('b')).state).toBe('running')
    await rename(join(made.dataDir, 'whole.img'), join(made.dataDir, 'a', 'disk.img'))
    expect((await second.ensure('a')).state).toBe('running')
    expect(warnings(made)).toContain('DISK_IMAGE_FAILED')
  })

  it('a tenant’s image without disk: ‘image’, is refused rather than forgotten', async () => {
    const made = await world()
    await made.pool.ensure('a')
    await made.pool.close({ boxes: 'stop' })
    const second = made.again({ disk: 'watch', box: { image: 'agent:1' } })
    const { message } = await failure(second.ensure('a'), 'INVALID_OPTION')
    expect(message).toContain("disk: 'image'")
    expect((await second.ensure('b')).state).toBe('running')
  })
})
