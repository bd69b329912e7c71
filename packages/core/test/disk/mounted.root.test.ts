import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { systemClock } from '../../src/clock.js'
import { deleteTree } from '../../src/delete-tree.js'
import { MEASURE_BOUNDS, measureTrees } from '../../src/disk/measure.js'
import { makeFolder, mount, mountTmpfs, umount } from './trees.js'

it('measuring does not enter another filesystem, and says that there is one', async () => {
  const tree = await makeFolder()
  mkdirSync(join(tree, 'mounted'))
  mountTmpfs(join(tree, 'mounted'))
  writeFileSync(join(tree, 'mounted', 'big'), 'x'.repeat(1_000_000))
  const signal = new AbortController().signal
  const { bytes, missed } = await measureTrees([tree], MEASURE_BOUNDS, { clock: systemClock, signal })
  expect(bytes).toBeLessThan(100_000)
  expect(missed).toBe('filesystem')
})

it('deleting reports what is mounted, and deletes the rest', async () => {
  const tree = join(await makeFolder(), 'tree')
  mkdirSync(join(tree, 'mounted'), { recursive: true })
  writeFileSync(join(tree, 'file'), 'x')
  mountTmpfs(join(tree, 'mounted'))
  expect(await deleteTree(tree)).toEqual(['mounted'])
  expect(await readdir(tree)).toEqual(['mounted'])
})

it('deleting leaves what is mounted as it is, also from the same disk and far down', async () => {
  const folder = await makeFolder()
  const tree = join(folder, 'tree')
  const shared = join(folder, 'shared')
  mkdirSync(join(shared, 'folder'), { recursive: true })
  writeFileSync(join(shared, 'folder', 'precious'), 'kept')
  for (const name of ['bound', join('deep', 'er', 'bound')]) {
    mkdirSync(join(tree, name), { recursive: true })
    mount('--bind', shared, join(tree, name))
  }
  expect(await deleteTree(tree)).toHaveLength(2)
  expect(readFileSync(join(shared, 'folder', 'precious'), 'utf8')).toBe('kept')
  umount(tree)
  expect(await deleteTree(tree)).toEqual([])
})
