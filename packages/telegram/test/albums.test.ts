import { readdir, readFile, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { type TestClock, testClock } from '@tenantbox/core/testing'
import type { Update } from 'grammy/types'
import { expect, test, vi } from 'vitest'
import { Albums } from '../src/receiving/albums.js'
import { gate, temporaryFolder } from './support/setup.js'

const part = (id: number): Update => ({ update_id: id })

type Step =
  | { readonly kind: 'create' | 'remove'; readonly file: string }
  /** What was done before is kept. */
  | { readonly kind: 'sync' }

const disk = vi.hoisted((): { steps: Step[] } => ({ steps: [] }))

vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof import('node:fs/promises')>()
  return {
    ...real,
    writeFile: async (path: string, ...rest: [never]) => {
      await real.writeFile(path, ...rest)
      disk.steps.push({ kind: 'create', file: basename(path) })
    },
    rm: async (path: string, ...rest: [never]) => {
      await real.rm(path, ...rest)
      disk.steps.push({ kind: 'remove', file: basename(path) })
    },
    open: async (...args: Parameters<typeof real.open>) => {
      const handle = await real.open(...args)
      const sync = handle.sync.bind(handle)
      handle.sync = async () => {
        await sync()
        disk.steps.push({ kind: 'sync' })
      }
      return handle
    },
  }
})

/** After each step: what was synced, and any of what was done since. */
function whatAPowerCutLeaves(before: ReadonlyMap<string, string>, steps: readonly Step[]) {
  const all: Map<string, string>[] = []
  for (let cut = 0; cut <= steps.length; cut++) {
    const done = steps.slice(0, cut)
    const synced = done.findLastIndex(({ kind }) => kind === 'sync') + 1
    const since = done.slice(synced)
    for (let kept = 0; kept < 2 ** since.length; kept++) {
      const files = new Map(before)
      for (const step of [...done.slice(0, synced), ...since.filter((_, at) => kept & (2 ** at))]) {
        if (step.kind === 'create') files.set(step.file, '')
        else if (step.kind === 'remove') files.delete(step.file)
      }
      all.push(files)
    }
  }
  return all
}

interface Gathering {
  readonly directory: string
  readonly clock: TestClock
  /** Of what was posted, the ids. */
  readonly posted: number[][]
  readonly failures: unknown[]
  readonly albums: Albums
  /** What posting takes from now on. */
  posting: () => Promise<void>
}

async function gathering(directory?: string): Promise<Gathering> {
  const made = directory ?? (await temporaryFolder())
  const clock = testClock()
  const posted: number[][] = []
  const failures: unknown[] = []
  const albums = new Albums({
    directory: made,
    gatherMs: 100,
    clock,
    post: async (_, updates) => {
      posted.push(updates.map(({ update_id: id }) => id))
      await gathered.posting()
    },
    onFailure: (_, error) => void failures.push(error),
  })
  const gathered: Gathering = {
    directory: made,
    clock,
    posted,
    failures,
    albums,
    posting: async () => undefined,
  }
  await albums.load()
  return gathered
}

async function waiting({ directory }: Gathering): Promise<number[]> {
  const files = await readdir(directory)
  return files.filter((file) => file.endsWith('.json')).map((file) => Number.parseInt(file, 10))
}

test('a part that comes again while its album is being posted is one of it', async () => {
  const gathered = await gathering()
  const { clock, posted, failures, albums } = gathered
  await albums.add('a', 'g', part(5))
  await albums.add('a', 'g', part(6))
  const { passed, open } = gate()
  gathered.posting = () => passed
  const flushed = albums.flush('a')
  await albums.add('a', 'g', part(6))
  open()
  await flushed
  await albums.flush('a')
  await clock.advance(60_000)
  expect(posted).toEqual([[5, 6]])
  expect(failures).toEqual([])
  expect(albums.has('a')).toBe(false)
  expect(await waiting(gathered)).toEqual([])
})

test('a part that comes again after its album was posted is known, also to the next process; a new one is not', async () => {
  const before = await gathering()
  for (const id of [5, 6, 7]) await before.albums.add('a', 'g', part(id))
  await before.albums.flush('a')
  await before.albums.add('a', 'g', part(7))
  expect(before.albums.has('a')).toBe(false)
  const { posted, albums } = await gathering(before.directory)
  for (const id of [6, 7, 8]) await albums.add('a', 'g', part(id))
  await albums.flush('a')
  expect(posted).toEqual([[8]])
})

test('an album is known for a day, and nothing of what it says is kept', async () => {
  const gathered = await gathering()
  const { directory, clock, posted, albums } = gathered
  await albums.add('a', 'g', { update_id: 5, message: { caption: 'private' } } as Update)
  await albums.flush('a')
  const [file, ...others] = await readdir(directory)
  expect(others).toEqual([])
  expect(await readFile(join(directory, file ?? ''), 'utf8')).toBe('')
  await clock.advance(25 * 60 * 60_000)
  await albums.add('a', 'h', part(9))
  await albums.flush('a')
  expect((await readdir(directory)).map((name) => Number.parseInt(name, 10))).toEqual([9])
  await albums.add('a', 'g', part(5))
  await albums.flush('a')
  expect(posted).toEqual([[5], [9], [5]])
})

test('whatever a power cut leaves of an album that was posted, no part of it is posted by itself', async () => {
  const { directory, albums } = await gathering()
  for (const id of [5, 6, 7]) await albums.add('a', 'g', part(id))
  const before = new Map<string, string>()
  for (const file of await readdir(directory)) before.set(file, await readFile(join(directory, file), 'utf8'))
  disk.steps = []
  await albums.flush('a')
  const { steps } = disk
  expect(steps.filter(({ kind }) => kind === 'remove')).toHaveLength(3)
  for (const left of whatAPowerCutLeaves(before, steps)) {
    const found = await temporaryFolder()
    for (const [file, content] of left) await writeFile(join(found, file), content)
    const next = await gathering(found)
    // Telegram may bring all of them again: they were not confirmed.
    for (const id of [5, 6, 7]) await next.albums.add('a', 'g', part(id))
    await next.albums.flush('a')
    await next.albums.close()
    expect(next.posted.filter(([first]) => first !== 5)).toEqual([])
  }
})

test('what could not be posted is tried again, with what has come meanwhile', async () => {
  const gathered = await gathering()
  const { clock, posted, failures, albums } = gathered
  gathered.posting = () => Promise.reject(new Error('the disk is full'))
  await albums.add('a', 'g', part(5))
  await expect(albums.flush('a')).rejects.toThrow('the disk is full')
  gathered.posting = async () => undefined
  await albums.add('a', 'g', part(6))
  await albums.flush('a')
  await clock.advance(60_000)
  expect(posted).toEqual([[5], [5, 6]])
  expect(failures).toEqual([])
})
