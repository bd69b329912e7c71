import { expect, it } from 'vitest'
import { readFairly } from '../src/fair-reader.js'

/** Reads all of it; how much came, and of how many pieces most in one turn of the event loop. */
async function read(chunks: Iterable<Uint8Array>) {
  let [bytes, inTurn, most, over] = [0, 0, 0, false]
  const next = (): void => {
    inTurn = 0
    if (!over) setImmediate(next)
  }
  next()
  for await (const piece of readFairly(ReadableStream.from(chunks).getReader())) {
    bytes += piece.byteLength
    inTurn += piece.byteLength
    most = Math.max(most, inTurn)
  }
  over = true
  return { bytes, most }
}

it('reads what was received in one go over many turns of the event loop', async () => {
  const { bytes, most } = await read([Buffer.alloc(1_000_000)])
  expect(bytes).toBe(1_000_000)
  expect(most).toBeLessThanOrEqual(8 * 1024)
})

it('counts the smallest chunk as what it costs', async () => {
  const { bytes, most } = await read(Array.from({ length: 10_000 }, () => Buffer.alloc(1)))
  expect(bytes).toBe(10_000)
  expect(most).toBeLessThanOrEqual(128)
})

it('ends with the body, and fails with it', async () => {
  expect(await read([])).toEqual({ bytes: 0, most: 0 })
  const failing = new ReadableStream({ pull: (controller) => controller.error(new Error('cut')) })
  await expect(readFairly(failing.getReader()).next()).rejects.toThrow('cut')
})
