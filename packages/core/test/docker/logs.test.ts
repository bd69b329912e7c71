import { describe, expect, it } from 'vitest'
import { logLines } from '../../src/docker/logs.js'
import { pieces } from '../../src/docker/multiplexed.js'
import type { LogLine } from '../../src/driver.js'
import { engine, makeWorld, specOf, useToolImage } from './world.js'

const image = useToolImage()

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const item of items) found.push(item)
  return found
}

async function talkingBox(script: string) {
  const world = await makeWorld()
  const ref = await world.box('ann', specOf(image, { command: ['/bin/perl', '-e', `$| = 1; ${script}`] }))
  await world.driver.start(ref)
  return { ...world, ref }
}

describe('logs', () => {
  it('of a stopped box: lines, streams and times, also of earlier lives', async () => {
    const { driver, ref } = await talkingBox('print "one\\n"; print STDERR "two\\n"; print "three"')
    await engine.getContainer(ref.id).wait()
    await driver.start(ref)
    await engine.getContainer(ref.id).wait()
    const lines = await all(driver.logs(ref))
    const texts = (stream: LogLine['stream']) =>
      lines.filter((line) => line.stream === stream).map((line) => line.text)
    expect(texts('stdout')).toEqual(['one', 'three', 'one', 'three'])
    expect(texts('stderr')).toEqual(['two', 'two'])
    for (const { at } of lines) expect(Math.abs(at - Date.now())).toBeLessThan(60_000)
  })

  it('are counted from the end by tail, and from a time by since', async () => {
    const { driver, ref } = await talkingBox(
      'for (1..5) { print "line $_\\n"; select undef, undef, undef, 0.02 }',
    )
    await engine.getContainer(ref.id).wait()
    expect((await all(driver.logs(ref, { tail: 2 }))).map((line) => line.text)).toEqual(['line 4', 'line 5'])
    expect(await all(driver.logs(ref, { tail: 0 }))).toEqual([])
    const every = await all(driver.logs(ref))
    const since = every[2]?.at ?? 0
    expect(await all(driver.logs(ref, { since }))).toEqual(every.filter((line) => line.at >= since))
  })

  it('are followed as they are written, to the end of the box', async () => {
    const { driver, ref } = await talkingBox(
      '$SIG{TERM} = sub { print "bye\\n"; exit }; print "ready\\n"; sleep 1 while 1',
    )
    const texts: string[] = []
    for await (const { text } of driver.logs(ref, { follow: true })) {
      texts.push(text)
      if (text === 'ready') await driver.stop(ref, { graceMs: 5_000 })
    }
    expect(texts).toEqual(['ready', 'bye'])
  })

  it('of this life begin with its first line, however soon that came, and hold none of the last life', async () => {
    const world = await makeWorld()
    const { driver } = world
    const spec = specOf(image, { command: ['/bin/sh', '-c', 'echo up; exec sleep 1000'] })
    const ref = await world.box('ann', spec)
    for (let life = 1; life <= 5; life++) {
      await driver.start(ref)
      const texts: string[] = []
      for await (const { text } of driver.logs(ref, { follow: true, thisLife: true })) {
        texts.push(text)
        await driver.stop(ref, { graceMs: 0 })
      }
      expect(texts).toEqual(['up'])
    }
  })

  it('end with the reason when the reader gives up', async () => {
    const { driver, ref } = await talkingBox('print "ready\\n"; sleep 1000')
    const controller = new AbortController()
    const reading = (async () => {
      for await (const _ of driver.logs(ref, { follow: true }, { signal: controller.signal }))
        controller.abort(new Error('enough'))
    })()
    await expect(reading).rejects.toThrow('enough')
  })

  it('put long lines together again, and cut endless ones', async () => {
    const { driver, ref } = await talkingBox('print "x" x 40_000, "\\n", "y" x 200_000, "\\n"')
    await engine.getContainer(ref.id).wait()
    const texts = (await all(driver.logs(ref))).map((line) => line.text)
    expect(texts[0]).toBe('x'.repeat(40_000))
    expect(texts.slice(1).join('')).toBe('y'.repeat(200_000))
    expect(Math.max(...texts.map((text) => text.length))).toBeLessThanOrEqual(2 * 64 * 1024)
  })

  it('of 3,000 lines come whole and in order', async () => {
    const { driver, ref } = await talkingBox('print "line $_\\n" for 1..3000')
    await engine.getContainer(ref.id).wait()
    const texts = (await all(driver.logs(ref))).map((line) => line.text)
    expect(texts).toEqual(Array.from({ length: 3_000 }, (_, index) => `line ${index + 1}`))
  })
})

describe('the framed stream', () => {
  const frame = (stream: number, text: string) => {
    const payload = Buffer.from(text)
    const header = Buffer.alloc(8)
    header[0] = stream
    header.writeUInt32BE(payload.length, 4)
    return Buffer.concat([header, payload])
  }

  it('is read the same, however it is cut', async () => {
    const part = 'p'.repeat(16 * 1024)
    const stream = Buffer.concat([
      frame(1, '2026-01-02T03:04:05.678901234Z grüße\n'),
      frame(2, `2026-01-02T03:04:06.000000001Z ${part}`),
      frame(1, '2026-01-02T03:04:07Z next\n'),
      frame(2, '2026-01-02T03:04:08Z  and end\n'),
    ])
    const expected = [
      { at: Date.UTC(2026, 0, 2, 3, 4, 5, 678), stream: 'stdout', text: 'grüße' },
      { at: Date.UTC(2026, 0, 2, 3, 4, 7), stream: 'stdout', text: 'next' },
      { at: Date.UTC(2026, 0, 2, 3, 4, 6), stream: 'stderr', text: `${part} and end` },
    ]
    for (const size of [1, 2, 3, 7, 8, 9, 64, 1000, 16_384, stream.length]) {
      const chunks = Array.from({ length: Math.ceil(stream.length / size) }, (_, index) =>
        stream.subarray(index * size, (index + 1) * size),
      )
      const source = (async function* () {
        yield* chunks
      })()
      expect(await all(logLines(pieces(source)))).toEqual(expected)
    }
  })
})

describe('stats', () => {
  it('tell what a box uses, and nothing of one that is stopped', async () => {
    const { driver, ref } = await talkingBox(
      '$x = "x" x 20_000_000; $i++ while $i < 3_000_000; print "ready\\n"; sleep 1000',
    )
    for await (const { text } of driver.logs(ref, { follow: true })) if (text === 'ready') break
    const stats = await driver.stats(ref)
    expect(stats.cpuSeconds).toBeGreaterThan(0.01)
    expect(stats.memoryBytes).toBeGreaterThan(20_000_000)
    expect(stats.memoryLimit).toBe(64 * 1024 ** 2)
    expect(stats.pids).toBeGreaterThanOrEqual(2)
    expect(Math.abs(stats.at - Date.now())).toBeLessThan(60_000)
    await driver.stop(ref, { graceMs: 1_000 })
    expect(await driver.stats(ref)).toMatchObject({ cpuSeconds: 0, memoryBytes: 0, pids: 0 })
  })
})
