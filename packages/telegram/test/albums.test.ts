import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { testClock } from '@tenantbox/core/testing'
import type { Update } from 'grammy/types'
import { expect, test } from 'vitest'
import { Albums } from '../src/receiving/albums.js'
import { temporaryFolder } from './support/setup.js'

const part = (id: number): Update => ({ update_id: id })

async function gathering() {
  const directory = await temporaryFolder()
  const clock = testClock()
  const posted: number[][] = []
  const failures: unknown[] = []
  let hold: Promise<void> | undefined
  const albums = new Albums({
    directory,
    gatherMs: 100,
    clock,
    post: async (_, updates) => {
      posted.push(updates.map(({ update_id: id }) => id))
      await hold
    },
    onFailure: (_, error) => void failures.push(error),
  })
  const until = (promise: Promise<void>): void => {
    hold = promise
  }
  return { directory, clock, posted, failures, albums, until }
}

test('a part that comes again while its album is being posted does not have it tried for ever', async () => {
  const { directory, clock, posted, failures, albums, until } = await gathering()
  await albums.add('a', 'g', part(5))
  let go = (): void => {}
  until(new Promise((resolve) => (go = resolve)))
  const flushed = albums.flush('a')
  await albums.add('a', 'g', part(5))
  go()
  await flushed
  expect(await readdir(directory)).toEqual([])
  await albums.flush('a')
  await clock.advance(60_000)
  expect(posted).toEqual([[5], [5]])
  expect(failures).toEqual([])
  expect(albums.has('a')).toBe(false)
})

test('the part that an album is known by is the last to go', async () => {
  const { directory, albums } = await gathering()
  await albums.add('a', 'g', part(5))
  await albums.add('a', 'g', part(6))
  // As if the process ended at the first part.
  await rm(join(directory, '5.json'))
  await mkdir(join(directory, '5.json'))
  await expect(albums.flush('a')).rejects.toThrow()
  expect(await readdir(directory)).toEqual(['5.json'])
})
