import { spawnSync } from 'node:child_process'
import {
  chmod,
  chown,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { systemClock } from '../src/clock.js'
import { deleteTree, emptyDirectory } from '../src/delete-tree.js'
import { isTenantBoxError } from '../src/errors.js'
import { freshen } from '../src/freshen.js'
import { PoolLock } from '../src/pool-lock.js'
import { TenantDirs } from '../src/tenant-dirs.js'

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tbx-'))
})
afterEach(async () => {
  spawnSync('rm', ['-rf', dir])
})

describe('emptyDirectory', () => {
  it('follows no symlink out of the tree', async () => {
    const outside = join(dir, 'outside')
    const tree = join(dir, 'tree')
    await mkdir(outside)
    await writeFile(join(outside, 'precious'), 'kept')
    await mkdir(join(tree, 'a', 'b'), { recursive: true })
    await symlink(outside, join(tree, 'a', 'b', 'escape'))
    await symlink(outside, join(tree, 'escape'))
    expect(await emptyDirectory(tree)).toEqual([])
    expect(await readdir(tree)).toEqual([])
    expect(await readFile(join(outside, 'precious'), 'utf8')).toBe('kept')
  })

  it('refuses a root that is itself a symlink', async () => {
    await mkdir(join(dir, 'outside', 'x'), { recursive: true })
    await symlink(join(dir, 'outside'), join(dir, 'link'))
    await expect(deleteTree(join(dir, 'link'))).rejects.toThrow(/ENOTDIR|ELOOP/)
    expect(await readdir(join(dir, 'outside'))).toEqual(['x'])
  })

  it('deletes a tree deeper than any path may be long, with few descriptors', async () => {
    const tree = join(dir, 'deep')
    await mkdir(tree)
    // 6,000 levels of 10 characters: 60,000 bytes of path, made step by step because no call takes that.
    const made = spawnSync('python3', [
      '-c',
      "import os,sys\nos.chdir(sys.argv[1])\nfor i in range(6000):\n os.mkdir('abcdefghij'); os.chdir('abcdefghij')\n open('f','w').close()",
      tree,
    ])
    expect(made.status).toBe(0)
    expect(await deleteTree(tree)).toEqual([])
    await expect(lstat(tree)).rejects.toThrow(/ENOENT/)
  }, 60_000)

  it('empties folders their owner made read-only', async () => {
    await mkdir(join(dir, 'tree', 'locked', 'in'), { recursive: true })
    await writeFile(join(dir, 'tree', 'locked', 'file'), 'x')
    await chmod(join(dir, 'tree', 'locked'), 0)
    expect(await deleteTree(join(dir, 'tree'))).toEqual([])
  })

  it('empties folders that their owner has closed to himself, and is no more than that owner', async () => {
    const nobody = 65_534
    const isRoot = process.getuid?.() === 0
    const folders = ['tree', 'tree/closed', 'tree/closed/in', 'tree/closed/in/deep', 'tree/closed/listed']
    for (const folder of folders) await mkdir(join(dir, folder))
    await writeFile(join(dir, 'tree/closed/in/deep/file'), 'x')
    if (isRoot) for (const folder of ['.', ...folders]) await chown(join(dir, folder), nobody, nobody)
    for (const folder of folders.toReversed())
      await chmod(join(dir, folder), folder.endsWith('listed') ? 0o400 : 0)
    if (isRoot) process.seteuid?.(nobody)
    try {
      expect(await deleteTree(join(dir, 'tree'))).toEqual([])
    } finally {
      if (isRoot) process.seteuid?.(0)
    }
    await expect(lstat(join(dir, 'tree'))).rejects.toThrow(/ENOENT/)
  })

  it('deletes what has a name that is no UTF-8', async () => {
    const odd = Buffer.concat([Buffer.from(`${dir}/tree/`), Buffer.from([0xff, 0xe9])])
    await mkdir(odd, { recursive: true })
    await writeFile(Buffer.concat([odd, Buffer.from('/f'), Buffer.from([0xc3])]), 'x')
    expect(await deleteTree(join(dir, 'tree'))).toEqual([])
  })

  it('takes a folder that is gone for deleted', async () => {
    expect(await deleteTree(join(dir, 'nothing'))).toEqual([])
  })
})

describe('PoolLock', () => {
  const acquire = (mode: 'fail' | 'wait', onWaiting?: () => void): Promise<PoolLock> =>
    PoolLock.acquire(join(dir, 'lock'), { mode, clock: systemClock, ...(onWaiting ? { onWaiting } : {}) })

  it('has one holder, who is named to the others', async () => {
    const lock = await acquire('fail')
    const refused = await acquire('fail').catch((error: unknown) => error)
    if (!isTenantBoxError(refused, 'POOL_LOCKED')) throw refused
    expect(refused.details.holder).toContain(String(process.pid))
    await lock.release()
    await (await acquire('fail')).release()
  })

  it('is handed over to who waits', async () => {
    const first = await acquire('fail')
    let waiting: (() => void) | undefined
    const isWaiting = new Promise<void>((resolve) => {
      waiting = resolve
    })
    const second = acquire('wait', waiting)
    await isWaiting
    await first.release()
    await (await second).release()
  })

  it('is not held by a file that was deleted under its holder', async () => {
    const first = await acquire('fail')
    await rm(join(dir, 'lock'))
    const second = await acquire('fail')
    await expect(acquire('fail')).rejects.toThrow(/owned by/)
    await second.release()
    await first.release()
  })
})

describe('TenantDirs', () => {
  const open = async (name = 'test'): Promise<TenantDirs> => {
    const dirs = new TenantDirs(join(dir, 'data'))
    await dirs.lockPath()
    await dirs.identify(name)
    return dirs
  }

  it('keeps its identity, and refuses a folder of another pool', async () => {
    const dirs = new TenantDirs(join(dir, 'data'))
    await dirs.lockPath()
    const first = await dirs.identify('test')
    expect(await new TenantDirs(join(dir, 'data')).identify('test')).toEqual(first)
    await expect(open('other')).rejects.toThrow(/belongs to the pool named "test"/)
  })

  it('makes a tenant’s folder whole, and finds it again', async () => {
    const dirs = await open()
    const { uid } = await dirs.ensure('Älice', 'lice--x', { first: 1000, last: 2000 })
    expect(uid).toBeGreaterThanOrEqual(1000)
    expect((await readdir(dirs.folders('lice--x').root)).sort()).toEqual(
      ['gateway', 'mailbox', 'run', 'secrets', 'tenant.json', 'workspace'].sort(),
    )
    expect(await dirs.ensure('Älice', 'lice--x', { first: 1000, last: 2000 })).toEqual({ uid })
  })

  it('remembers the last activity, and clamps one in the future', async () => {
    const dirs = await open()
    await dirs.ensure('a', 'a', undefined)
    await dirs.ensure('b', 'b', undefined)
    await dirs.markActivity('a', 1_000_000)
    await utimes(join(dir, 'data', 'b', 'tenant.json'), 4e9, 4e9)
    const { tenants } = await (await open()).scan(() => undefined)
    const byId = new Map(tenants.map((one) => [one.tenant, one.lastActivity]))
    expect(byId.get('a')).toBe(1_000_000)
    expect(byId.get('b')).toBeLessThanOrEqual(Date.now())
  })

  it('never gives two living tenants one uid, also after a restart', async () => {
    const dirs = await open()
    const range = { first: 1, last: 40 }
    const uids = new Set<number | undefined>()
    for (let i = 0; i < 10; i++) uids.add((await dirs.ensure(`t${i}`, `t${i}`, range)).uid)
    const again = await open()
    await again.scan(() => undefined)
    for (let i = 10; i < 20; i++) uids.add((await again.ensure(`t${i}`, `t${i}`, range)).uid)
    expect(uids.size).toBe(20)
  })

  it('reports strays and repairs a tenant.json that a box’s label explains', async () => {
    const dirs = await open()
    await dirs.ensure('a', 'a', undefined)
    await dirs.ensure('b', 'b', undefined)
    await mkdir(join(dir, 'data', 'photos'))
    await writeFile(join(dir, 'data', 'a', 'tenant.json'), '{"id":')
    await writeFile(join(dir, 'data', 'b', 'tenant.json'), '{"id":"somebody else"}')
    const { tenants, strays } = await (await open()).scan((slug) => (slug === 'a' ? 'a' : undefined))
    expect(tenants.map((one) => one.tenant)).toEqual(['a'])
    expect(strays.map((one) => one.name).sort()).toEqual(['b', 'photos'])
    expect(JSON.parse(await readFile(join(dir, 'data', 'a', 'tenant.json'), 'utf8'))).toMatchObject({
      id: 'a',
    })
  })

  it('empties run and rewrites secrets before a start, inside a tenant’s traps', async () => {
    const dirs = await open()
    await dirs.ensure('a', 'a', undefined)
    const folders = dirs.folders('a')
    await writeFile(join(dir, 'precious'), 'kept')
    await symlink(join(dir, 'precious'), join(folders.run, 'agent.sock'))
    await freshen(folders, { token: 'one', other: 'x' }, undefined)
    await freshen(folders, { token: 'two' }, { uid: 12345, gid: 12345 })
    expect(await readdir(folders.run)).toEqual([])
    expect(await readFile(join(dir, 'precious'), 'utf8')).toBe('kept')
    expect(await readdir(folders.secrets)).toEqual(['token'])
    expect(await readFile(join(folders.secrets, 'token'), 'utf8')).toBe('two')
    const { mode, uid } = await lstat(folders.secrets)
    expect([mode & 0o777, uid]).toEqual([0o500, 12345])
    expect((await lstat(join(folders.secrets, 'token'))).mode & 0o777).toBe(0o400)
    expect((await lstat(folders.workspace)).uid).toBe(12345)
  })

  it('goes on, beside everything else, with what a crash left half made or half deleted', async () => {
    const dirs = await open()
    await mkdir(join(dir, 'data', '.tenantbox', 'trash', 'a.1', 'workspace'), { recursive: true })
    await mkdir(join(dir, 'data', '.tenantbox', 'new', 'half', 'workspace'), { recursive: true })
    const trash = await readdir(join(dir, 'data', '.tenantbox', 'trash'))
    await dirs.sweep((leftBehind) => expect.fail(leftBehind.join()))
    expect(await readdir(join(dir, 'data', '.tenantbox', 'new'))).toEqual([])
    // What is made or thrown away from now on is no business of the sweep.
    const fresh = await dirs.makeFresh()
    expect(trash).toEqual(['a.1'])
    await vi.waitFor(async () => expect(await readdir(join(dir, 'data', '.tenantbox', 'trash'))).toEqual([]))
    expect((await lstat(fresh)).isDirectory()).toBe(true)
  })
})
