import assert from 'node:assert/strict'
import type { LogLine } from '../../driver.js'
import { type ConformanceTest, nextEvent, within } from './bench.js'

const GRACE_MS = 10_000

/** Events, logs and statistics. */
export function telling(test: ConformanceTest): void {
  test('tells everything that happens to a box once it is watched', async (bench) => {
    const { driver } = bench
    await using watch = await watching(bench)
    const ref = await bench.create()
    const { startedAt } = await bench.start(ref)
    assert.deepEqual((await nextEvent(watch.events, 'started', ref)).ref, ref)
    if (driver.supports.pause) {
      await driver.pause(ref)
      await nextEvent(watch.events, 'paused', ref)
      await driver.resume(ref)
      await nextEvent(watch.events, 'resumed', ref)
    }
    await driver.stop(ref, { graceMs: GRACE_MS })
    const died = await nextEvent(watch.events, 'died', ref)
    assert.ok(died.at >= startedAt, `died at ${died.at}, started at ${startedAt}`)
    await driver.setAside(ref)
    await nextEvent(watch.events, 'renamed', ref)
    await driver.remove(ref)
    await nextEvent(watch.events, 'removed', ref)
  })

  test('tells what others do to a box', async (bench) => {
    const ref = await bench.running()
    await using watch = await watching(bench)
    await bench.subject.crash(ref)
    await nextEvent(watch.events, 'died', ref)
    assert.equal((await bench.record(ref)).state, 'stopped')
  })

  test('tells everybody who watches', async (bench) => {
    await using one = await watching(bench)
    await using other = await watching(bench)
    const ref = await bench.running()
    await nextEvent(one.events, 'started', ref)
    await nextEvent(other.events, 'started', ref)
  })

  test('ends the events with the signal, and when the driver is closed', async (bench) => {
    const controller = new AbortController()
    const events = await bench.driver.watch({ signal: controller.signal })
    const ended = ends(events)
    controller.abort()
    await within(ended, 'the end of the events')

    const more = ends(await bench.driver.watch({ signal: new AbortController().signal }))
    await bench.whileClosed(() => within(more, 'the end of the events'))
  })

  test('tells what a box has said, while it runs and afterwards', async (bench) => {
    const { driver } = bench
    const ref = await bench.create()
    assert.deepEqual(await all(driver.logs(ref)), [])
    const { startedAt } = await bench.start(ref)
    await bench.get(ref, '/say/hello')
    const expected = ['stderr note', 'stdout hello', 'stdout ready']
    await bench.eventually('it was said', async () => {
      const lines = await all(driver.logs(ref))
      return sorted(lines).join() === expected.join()
    })
    await driver.stop(ref, { graceMs: GRACE_MS })
    const lines = await all(driver.logs(ref))
    assert.deepEqual(sorted(lines), expected)
    for (const { at } of lines) assert.ok(at >= startedAt - 1_000 && at < startedAt + 60_000, `said at ${at}`)
  })

  test('tells the last lines only, or only new ones', async (bench) => {
    const { driver } = bench
    const ref = await bench.running()
    await bench.get(ref, '/say/one')
    await bench.get(ref, '/say/two')
    await driver.stop(ref, { graceMs: GRACE_MS })
    const said = await all(driver.logs(ref))
    const last = said.at(-1)
    assert.equal(last?.text, 'two')
    assert.deepEqual(await all(driver.logs(ref, { tail: 1 })), [last])
    assert.deepEqual(await all(driver.logs(ref, { tail: 0 })), [])
    assert.deepEqual(await all(driver.logs(ref, { tail: 100 })), said)
    assert.deepEqual(await all(driver.logs(ref, { since: last.at + 1_000 })), [])
    assert.deepEqual(await all(driver.logs(ref, { since: (said[0]?.at ?? 0) - 1_000 })), said)
  })

  test('tells what a box has said in this life, from its first word', async (bench) => {
    const { driver } = bench
    const ref = await bench.running()
    await bench.get(ref, '/say/before')
    await driver.stop(ref, { graceMs: GRACE_MS })
    await bench.start(ref)
    await bench.get(ref, '/say/after')
    await bench.eventually('it was said', async () => (await all(driver.logs(ref))).at(-1)?.text === 'after')
    const lines = await all(driver.logs(ref, { thisLife: true }))
    assert.deepEqual(sorted(lines), ['stderr note', 'stdout after', 'stdout ready'])
  })

  test('follows what a box says until it stops', async (bench) => {
    const { driver } = bench
    const ref = await bench.running()
    const lines = driver.logs(ref, { follow: true })[Symbol.asyncIterator]()
    const next = async (): Promise<string | undefined> => {
      const { done, value } = await within(lines.next(), 'a line')
      return done ? undefined : value.text
    }
    assert.deepEqual([await next(), await next()].sort(), ['note', 'ready'])
    for (const text of ['one', 'two']) {
      await bench.get(ref, `/say/${text}`)
      assert.equal(await next(), text)
    }
    await driver.stop(ref, { graceMs: GRACE_MS })
    assert.equal(await next(), undefined)
  })

  test('ends a log that is followed with the signal', async (bench) => {
    const ref = await bench.running()
    const controller = new AbortController()
    const reason = new Error('enough')
    const following = all(bench.driver.logs(ref, { follow: true, tail: 0 }, { signal: controller.signal }))
    const ended = assert.rejects(within(following, 'the end of the log'), reason)
    controller.abort(reason)
    await ended
  })

  test('tells what a running box uses', async (bench) => {
    const ref = await bench.running()
    const stats = await bench.driver.stats(ref)
    assert.ok(Math.abs(stats.at - Date.now()) < 60_000)
    assert.ok(stats.pids >= 1, `${stats.pids} pids`)
    assert.ok(stats.cpuSeconds >= 0 && stats.memoryBytes >= 0 && stats.memoryLimit > stats.memoryBytes)
  })
}

type Bench = Parameters<Parameters<ConformanceTest>[1]>[0]

async function watching({ driver }: Bench) {
  const controller = new AbortController()
  const events = (await driver.watch({ signal: controller.signal }))[Symbol.asyncIterator]()
  return {
    events,
    async [Symbol.asyncDispose](): Promise<void> {
      controller.abort()
    },
  }
}

/** Resolves when there are no more values; that they end with an error is as good. */
async function ends(values: AsyncIterable<unknown>): Promise<void> {
  try {
    for await (const _ of values);
  } catch {
    // An end, too.
  }
}

async function all(lines: AsyncIterable<LogLine>): Promise<LogLine[]> {
  const found: LogLine[] = []
  for await (const line of lines) found.push(line)
  return found
}

function sorted(lines: readonly LogLine[]): string[] {
  return lines.map(({ stream, text }) => `${stream} ${text}`).sort()
}
