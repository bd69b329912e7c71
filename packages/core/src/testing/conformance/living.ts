import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { isTenantBoxError } from '../../errors.js'
import { answerOver, type ConformanceTest, refuses, within } from './bench.js'

const GRACE_MS = 10_000
/** For how long a paused box must keep silent to be believed. */
const SILENCE_MS = 300

/** Starting, pausing, stopping and dying. */
export function living(test: ConformanceTest): void {
  test('starts a box: it runs, and its agent can be dialled', async (bench) => {
    const ref = await bench.create()
    const before = Date.now()
    const { startedAt } = await bench.start(ref)
    assert.ok(Math.abs(startedAt - before) < 60_000, `started at ${startedAt}, asked at ${before}`)
    const { exit, ...record } = await bench.record(ref)
    assert.equal(exit, undefined)
    assert.deepEqual(record, { ref, state: 'running', startedAt, spec: 'hash-1', aside: false })
    assert.equal(await bench.get(ref, '/nothing'), 404)
  })

  test('leaves a box that runs already in its life', async (bench) => {
    const ref = await bench.create()
    const lives = await Promise.all([bench.driver.start(ref), bench.driver.start(ref)])
    const again = await bench.driver.start(ref)
    for (const { startedAt } of lives) assert.equal(startedAt, again.startedAt)
  })

  test('begins a life of its own with every start', async (bench) => {
    const { driver } = bench
    const ref = await bench.create()
    const first = await bench.start(ref)
    await driver.stop(ref, { graceMs: GRACE_MS })
    assert.equal((await bench.record(ref)).startedAt, first.startedAt)
    const second = await bench.start(ref)
    assert.ok(second.startedAt > first.startedAt, `${second.startedAt} is not after ${first.startedAt}`)
    assert.equal((await bench.record(ref)).startedAt, second.startedAt)
  })

  test('tells how a box ended that ended by itself', async (bench) => {
    const ref = await bench.create({ spec: bench.subject.boxes.shortLived })
    await startMayFail(bench.driver.start(ref))
    const { exit, startedAt } = await bench.settled(ref, 'stopped')
    assert.deepEqual(exit, { code: 3, oom: false })
    assert.ok(startedAt > 0)
  })

  test('does not start, or not for long, what has no command', async (bench) => {
    const ref = await bench.create({ spec: bench.subject.boxes.withoutCommand })
    await startMayFail(bench.driver.start(ref))
    await bench.settled(ref, 'stopped')
    await assert.rejects(bench.dial(ref))
  })

  test('stops a box politely', async (bench) => {
    const { driver } = bench
    const ref = await bench.running()
    const began = performance.now()
    await driver.stop(ref, { graceMs: GRACE_MS })
    assert.ok(performance.now() - began < GRACE_MS - 1_000, 'the grace was waited out')
    const { state, exit } = await bench.record(ref)
    assert.equal(state, 'stopped')
    assert.equal(exit?.oom, false)
    await assert.rejects(bench.dial(ref))
    await driver.stop(ref, { graceMs: GRACE_MS })
  })

  test('stops by force what takes no notice, once its grace is over', async (bench) => {
    const ref = await bench.running({ spec: bench.subject.boxes.stubborn })
    const began = performance.now()
    await Promise.all([1, 2].map(() => bench.driver.stop(ref, { graceMs: 1_000 })))
    assert.ok(performance.now() - began > 900, 'it was not given its grace')
    const { state, exit } = await bench.record(ref)
    assert.equal(state, 'stopped')
    assert.equal(exit?.code, 137)
  })

  test('stops a box that was never started, to no effect', async (bench) => {
    const ref = await bench.create()
    await bench.driver.stop(ref, { graceMs: GRACE_MS })
    assert.equal((await bench.record(ref)).startedAt, 0)
  })

  test('sees that a box has crashed, and starts it again', async (bench) => {
    const ref = await bench.running()
    await bench.subject.crash(ref)
    const { exit } = await bench.settled(ref, 'stopped')
    assert.equal(exit?.code, 137)
    await bench.start(ref)
  })

  test('pauses a box: it accepts connections, and answers once it is resumed', async (bench, context) => {
    const { driver } = bench
    if (!driver.supports.pause) return void context.skip('this driver does not pause')
    const ref = await bench.running()
    const { startedAt } = await bench.record(ref)
    for (const _ of ['once', 'again']) await driver.pause(ref)
    assert.deepEqual(
      [(await bench.record(ref)).state, (await bench.record(ref)).startedAt],
      ['paused', startedAt],
    )
    const answer = answerOver(await within(bench.dial(ref), 'a paused box accepts'), '/healthz')
    const silence = delay(SILENCE_MS, 'silence')
    assert.equal(await Promise.race([answer, silence]), 'silence')

    for (const _ of ['once', 'again']) await driver.resume(ref)
    assert.equal(await answer, 200)
    assert.deepEqual(
      [(await bench.record(ref)).state, (await bench.record(ref)).startedAt],
      ['running', startedAt],
    )

    await driver.pause(ref)
    assert.equal((await driver.start(ref)).startedAt, startedAt)
    assert.equal((await bench.record(ref)).state, 'running')
  })

  test('stops a paused box, and resumes none that is stopped', async (bench, context) => {
    const { driver } = bench
    if (!driver.supports.pause) return void context.skip('this driver does not pause')
    const ref = await bench.running()
    await driver.pause(ref)
    const began = performance.now()
    await driver.stop(ref, { graceMs: GRACE_MS })
    assert.ok(performance.now() - began < GRACE_MS - 1_000, 'the grace was waited out')
    assert.equal((await bench.record(ref)).state, 'stopped')
    await refuses(driver.pause(ref))
    await refuses(driver.resume(ref))
    assert.equal((await bench.record(ref)).state, 'stopped')
    await bench.start(ref)
  })
}

/** A life that is over at once may fail its start, or be seen to have ended. */
async function startMayFail(starting: Promise<unknown>): Promise<void> {
  try {
    await starting
  } catch (error) {
    if (!isTenantBoxError(error, 'START_FAILED')) throw error
  }
}
