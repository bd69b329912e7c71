import { linkSync, mkdirSync, readdirSync, readlinkSync, renameSync, writeFileSync } from 'node:fs'
import { chmod, chown, mkdir, open, symlink, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { beforeEach, describe, expect, it } from 'vitest'
import { type Clock, systemClock } from '../../src/clock.js'
import { type Measurement, measureTrees } from '../../src/disk/measure.js'
import { du, makeDeepTree, makeFolder } from './trees.js'

const { POSITIVE_INFINITY } = Number
const NO_BOUNDS = { entries: POSITIVE_INFINITY, names: POSITIVE_INFINITY, time: POSITIVE_INFINITY }

let dir: string
let tree: string
beforeEach(async () => {
  dir = await makeFolder()
  tree = join(dir, 'tree')
  mkdirSync(tree)
})

function measure(bounds = NO_BOUNDS, clock: Clock = systemClock): Promise<Measurement> {
  return measureTrees([tree], bounds, { clock, signal: new AbortController().signal })
}

/** A clock that calls back each time the measurement looks whether it may go on. */
function clockThat(looks: () => void): Clock {
  return {
    ...systemClock,
    monotonic: () => {
      looks()
      return systemClock.monotonic()
    },
  }
}

function openFolders(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)]
    } catch {
      // Closed since.
      return []
    }
  })
}

describe('a measurement', () => {
  it('counts blocks as du does, over all roots', async () => {
    await mkdir(join(tree, 'a', 'b'), { recursive: true })
    for (const name of ['one', 'a/two', 'a/b/three']) await writeFile(join(tree, name), 'x'.repeat(10_000))
    await mkdir(join(dir, 'run'))
    await writeFile(join(dir, 'run', 'log'), 'y'.repeat(5_000))
    const signal = new AbortController().signal
    const roots = [tree, join(dir, 'run'), join(dir, 'nothing')]
    const both = await measureTrees(roots, NO_BOUNDS, { clock: systemClock, signal })
    expect(both).toMatchObject({ bytes: du(tree) + du(join(dir, 'run')), entries: 8, missed: undefined })
  })

  it('counts a file once, however many links it has', async () => {
    writeFileSync(join(tree, 'file'), 'x'.repeat(100_000))
    mkdirSync(join(tree, 'links'))
    for (let i = 0; i < 200; i++) linkSync(join(tree, 'file'), join(tree, 'links', `${i}`))
    expect(await measure()).toMatchObject({ bytes: du(tree), missed: undefined })
  })

  it('counts the blocks of a sparse file, not its length', async () => {
    await writeFile(join(tree, 'sparse'), '')
    await truncate(join(tree, 'sparse'), 1024 ** 4)
    const file = await open(join(tree, 'sparse'), 'r+')
    await file.write('x'.repeat(4096), 512 * 1024 ** 2)
    await file.close()
    const { bytes } = await measure()
    expect(bytes).toBe(du(tree))
    expect(bytes).toBeLessThan(100_000)
  })

  it('follows no symlink, in the tree or to it', async () => {
    mkdirSync(join(dir, 'outside'))
    writeFileSync(join(dir, 'outside', 'big'), 'x'.repeat(1_000_000))
    await symlink(join(dir, 'outside'), join(tree, 'folder'))
    await symlink(join(dir, 'outside', 'big'), join(tree, 'file'))
    await symlink('.', join(tree, 'loop'))
    const { bytes, entries } = await measure()
    expect(bytes).toBeLessThan(100_000)
    expect(entries).toBe(4)
    tree = join(tree, 'folder')
    await expect(measure()).rejects.toThrow(/ENOTDIR|ELOOP/)
  })

  it('counts what has a name that is no UTF-8', async () => {
    const name = Buffer.concat([Buffer.from(`${tree}/`), Buffer.from([0xff, 0xfe])])
    mkdirSync(name)
    writeFileSync(Buffer.concat([name, Buffer.from('/file')]), 'x'.repeat(100_000))
    expect(await measure()).toMatchObject({ bytes: du(tree), entries: 3 })
  })

  it('goes 6,000 levels down and back with few descriptors', async () => {
    makeDeepTree(tree, 6_000, 10)
    const before = openFolders().length
    let most = 0
    let looks = 0
    const clock = clockThat(() => {
      if (looks++ % 500 === 0) most = Math.max(most, openFolders().length)
    })
    const { bytes, entries, missed } = await measure(NO_BOUNDS, clock)
    expect({ entries, missed }).toEqual({ entries: 12_601, missed: undefined })
    expect(bytes).toBeGreaterThan(6_000 * 4096)
    expect(most - before).toBeLessThan(50)
    expect(openFolders()).toHaveLength(before)
  }, 60_000)

  it('counts 100,000 entries without holding up the event loop', async () => {
    for (let i = 0; i < 100_000; i++) writeFileSync(join(tree, `${i}`), '')
    let turns = 0
    let measuring = true
    const counting = (async () => {
      for (; measuring; turns++) await setImmediate()
    })()
    const { entries, missed } = await measure()
    measuring = false
    await counting
    expect({ entries, missed }).toEqual({ entries: 100_001, missed: undefined })
    expect(turns).toBeGreaterThan(1_000)
  }, 60_000)
})

describe('a measurement that cannot see everything says so', () => {
  it('of a folder that it may not read', async () => {
    mkdirSync(join(tree, 'open'))
    mkdirSync(join(tree, 'locked'))
    writeFileSync(join(tree, 'locked', 'big'), 'x'.repeat(1_000_000))
    writeFileSync(join(tree, 'open', 'file'), 'x'.repeat(10_000))
    // Root may read everything: somebody else measures.
    const isRoot = process.getuid?.() === 0
    if (isRoot)
      for (const folder of [dir, tree, join(tree, 'open'), join(tree, 'locked')])
        await chown(folder, 65534, 65534)
    await chmod(join(tree, 'locked'), 0)
    if (isRoot) process.seteuid?.(65534)
    try {
      const { bytes, missed } = await measure()
      expect(missed).toBe('unreadable')
      expect(bytes).toBeGreaterThan(10_000)
      expect(bytes).toBeLessThan(100_000)
    } finally {
      if (isRoot) process.seteuid?.(0)
      await chmod(join(tree, 'locked'), 0o700)
    }
    expect(await measure()).toMatchObject({ bytes: du(tree), missed: undefined })
  })

  it('of more entries than its bound', async () => {
    for (let i = 0; i < 500; i++) writeFileSync(join(tree, `${i}`), '')
    const { entries, missed } = await measure({ ...NO_BOUNDS, entries: 100 })
    expect(missed).toBe('entries')
    expect(entries).toBeLessThan(200)
  })

  it('of more names than it remembers', async () => {
    for (let i = 0; i < 500; i++) mkdirSync(join(tree, `${'x'.repeat(240)}${i}`))
    const { entries, missed } = await measure({ ...NO_BOUNDS, names: 24_000 })
    expect(missed).toBe('entries')
    expect(entries).toBeLessThan(200)
  })

  it('of a tree that takes too long', async () => {
    makeDeepTree(tree, 100)
    let time = 0
    const clock = { ...systemClock, monotonic: () => time++ }
    expect(await measure({ ...NO_BOUNDS, time: 50 }, clock)).toMatchObject({ missed: 'time' })
  })

  it('of a deep folder moved away under its feet, and never climbs out of the tree', async () => {
    makeDeepTree(tree, 60, 1)
    writeFileSync(join(dir, 'outside'), 'x'.repeat(1_000_000))
    const level = (count: number): string => join(tree, ...Array.from({ length: count }, () => 'abcdefghij'))
    let moved = false
    const clock = clockThat(() => {
      if (moved || !openFolders().includes(level(55))) return
      renameSync(level(50), join(dir, 'elsewhere'))
      moved = true
    })
    const { bytes, missed } = await measure(NO_BOUNDS, clock)
    expect({ moved, missed }).toEqual({ moved: true, missed: 'moved' })
    // What was counted before it was moved, what is still where it was, and nothing beside.
    expect(bytes).toBeLessThan(60 * 3 * 4096 + 100_000)
  })
})

describe('a measurement ends', () => {
  it('when it is aborted, with nothing left open', async () => {
    makeDeepTree(tree, 200)
    const before = openFolders().length
    const controller = new AbortController()
    let looks = 0
    const clock = clockThat(() => {
      if (looks++ === 100) controller.abort(new Error('enough'))
    })
    const { signal } = controller
    await expect(measureTrees([tree], NO_BOUNDS, { clock, signal })).rejects.toThrow('enough')
    expect(openFolders()).toHaveLength(before)
  })

  it('in a tree that is moved under it again and again', async () => {
    mkdirSync(join(tree, '0', 'x', 'y'), { recursive: true })
    let moves = 0
    const clock = clockThat(() => {
      mkdirSync(join(tree, `${moves + 1}`))
      renameSync(join(tree, `${moves}`), join(tree, `${moves + 1}`, 'inner'))
      moves++
    })
    const { entries } = await measure({ ...NO_BOUNDS, entries: 1_000 }, clock)
    expect(moves).toBeGreaterThan(0)
    expect(entries).toBeGreaterThan(0)
  })
})
