import assert from 'node:assert/strict'
import { type ConformanceTest, refuses, within } from './bench.js'

/** Giving up calls, and closing the driver. */
export function leaving(test: ConformanceTest): void {
  test('does nothing for a caller that has given up already', async (bench) => {
    const { driver, subject } = bench
    const ref = await bench.running()
    const before = await bench.record(ref)
    const reason = new Error('enough')
    const options = { signal: AbortSignal.abort(reason) }
    const { agent } = subject.boxes
    const calls: readonly (() => Promise<unknown>)[] = [
      () => driver.watch(options),
      () => driver.list(options),
      () => driver.inspect(ref, options),
      () => driver.find(ref.slug, options),
      () => driver.prepare(agent, options),
      () => driver.create({ tenant: 'bob', slug: 'bob', spec: 'hash-1' }, agent, options),
      () => driver.setAside(ref, options),
      () => driver.restore(ref, options),
      () => driver.start(ref, options),
      () => driver.pause(ref, options),
      () => driver.resume(ref, options),
      () => driver.stop(ref, { ...options, graceMs: 1_000 }),
      () => driver.remove(ref, options),
      () => driver.spawn(ref, { command: subject.commands.sleep }, options),
      () => driver.logs(ref, {}, options)[Symbol.asyncIterator]().next(),
      () => driver.stats(ref, options),
      () => driver.dial(ref, options),
    ]
    for (const call of calls)
      await assert.rejects(within(call(), `the refusal of ${call}`), reason, `${call}`)
    assert.deepEqual(await bench.record(ref), before)
    assert.deepEqual(await driver.list(), [before])
  })

  test('lets a caller give up a stop that takes long', async (bench) => {
    const ref = await bench.running({ spec: bench.subject.boxes.stubborn })
    const controller = new AbortController()
    const reason = new Error('enough')
    const stopping = bench.driver.stop(ref, { graceMs: 3_000, signal: controller.signal })
    const began = performance.now()
    const given = assert.rejects(stopping, reason)
    await bench.record(ref)
    controller.abort(reason)
    await given
    assert.ok(performance.now() - began < 2_000, 'the grace was waited out')
  })

  test('refuses calls while it is closed, and keeps its boxes', async (bench) => {
    const { driver } = bench
    const ref = await bench.running()
    const before = await bench.record(ref)
    await bench.whileClosed(() => refuses(driver.list(), 'POOL_CLOSED'))
    assert.deepEqual(await bench.record(ref), before)
    assert.equal(await bench.get(ref, '/healthz'), 200)
    await driver.close()
    await bench.whileClosed()
  })

  test('leaves to the next process what it says survives', async (bench) => {
    const ref = await bench.running()
    const record = await bench.record(ref)
    const next = await bench.another()
    if (next.supports.survivesRestart) {
      assert.deepEqual(await next.list(), [record])
      assert.equal(await bench.get(ref, '/healthz', next), 200)
    } else {
      assert.deepEqual(await next.list(), [])
      assert.equal(await next.find(ref.slug), undefined)
      await bench.eventually('nothing of it is left', () =>
        bench.get(ref, '/healthz').then(
          () => false,
          () => true,
        ),
      )
    }
  })
}
