import { expect, it } from 'vitest'
import { oneByOne } from '../src/one-by-one.js'

async function* batches(closed: () => void, fails = false): AsyncGenerator<readonly number[]> {
  try {
    yield [1, 2, 3]
    yield []
    yield [4, 5]
    if (fails) throw new Error('unreadable')
  } finally {
    closed()
  }
}

it('gives the items of all batches in their order', async () => {
  let closings = 0
  const found: number[] = []
  for await (const item of oneByOne(batches(() => closings++))) found.push(item)
  expect({ found, closings }).toEqual({ found: [1, 2, 3, 4, 5], closings: 1 })
})

it('gives everybody who asks at the same time an item of their own, in the order in which they asked', async () => {
  const items = oneByOne(batches(() => undefined))
  const results = await Promise.all(Array.from({ length: 7 }, () => items.next()))
  expect(results.map(({ value, done }) => (done ? 'done' : value))).toEqual([1, 2, 3, 4, 5, 'done', 'done'])
})

it('closes what it reads from when the reader leaves in the middle of a batch', async () => {
  let closings = 0
  const items = oneByOne(batches(() => closings++))
  for await (const item of items) if (item === 2) break
  expect(closings).toBe(1)
  expect(await items.next()).toEqual({ done: true, value: undefined })
})

it('fails where a batch fails, and is at its end then', async () => {
  const items = oneByOne(batches(() => undefined, true))
  const found: number[] = []
  const reading = (async () => {
    for await (const item of items) found.push(item)
  })()
  await expect(reading).rejects.toThrow('unreadable')
  expect(found).toEqual([1, 2, 3, 4, 5])
  expect(await items.next()).toEqual({ done: true, value: undefined })
})
