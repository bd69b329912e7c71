import { chown, cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { TenantDirs } from '../src/tenant-dirs.js'

const RANGE = { first: 100_000, last: 165_535 }

let dataDir: string

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'tbx-'))
})

afterEach(() => rm(dataDir, { recursive: true }))

async function nextProcess(): Promise<TenantDirs> {
  const dirs = new TenantDirs(dataDir)
  await dirs.lockPath()
  await dirs.identify('test')
  await dirs.scan(() => undefined)
  return dirs
}

/** A tenant's folder as a start leaves it: with files of the tenant's own uid. */
async function tenant(slug: string): Promise<number> {
  const { uid = 0 } = await (await nextProcess()).ensure(slug, slug, RANGE)
  await chown(join(dataDir, slug, 'workspace'), uid, uid)
  return uid
}

const lose = (slug: string): Promise<void> => writeFile(join(dataDir, slug, 'tenant.json'), '{')

it('a tenant whose tenant.json is lost keeps the uid that its files have', async () => {
  const uid = await tenant('a')
  await lose('a')
  expect(await (await nextProcess()).ensure('a', 'a', RANGE)).toEqual({ uid })
  expect(await (await nextProcess()).ensure('a', 'a', RANGE)).toEqual({ uid })
})

it('a tenant whose tenant.json is lost keeps it also when a message comes before its wake', async () => {
  const uid = await tenant('a')
  await lose('a')
  await (await nextProcess()).ensure('a', 'a', undefined)
  expect(await (await nextProcess()).ensure('a', 'a', RANGE)).toEqual({ uid })
})

it('a folder with the uid of another tenant, or of somebody who is none, gets one of its own', async () => {
  const uid = await tenant('a')
  for (const copy of ['0-before-a', 'b'])
    await cp(join(dataDir, 'a'), join(dataDir, copy), { recursive: true })
  for (const copy of ['0-before-a', 'b']) await chown(join(dataDir, copy, 'workspace'), uid, uid)
  await tenant('human')
  await chown(join(dataDir, 'human', 'workspace'), 1000, 1000)
  await lose('human')
  const dirs = await nextProcess()
  const given = [uid]
  for (const slug of ['0-before-a', 'b', 'human']) given.push((await dirs.ensure(slug, slug, RANGE)).uid ?? 0)
  expect(new Set(given).size).toBe(4)
  for (const each of given) expect(each).toBeGreaterThanOrEqual(RANGE.first)
  expect(await dirs.ensure('a', 'a', RANGE)).toEqual({ uid })
})
