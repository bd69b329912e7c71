import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import type { BoxRef } from '../../driver.js'
import { asideName, boxName, slugOf } from '../../identity.js'
import { type ConformanceTest, refuses } from './bench.js'

/** Making, finding and renaming boxes. */
export function making(test: ConformanceTest): void {
  test('reports its engine when it is opened', async ({ driver, report }) => {
    assert.notEqual(driver.name, '')
    assert.notEqual(report.engine, '')
    assert.ok(['socket', 'port'].includes(report.transport))
    for (const { code, message } of report.warnings) assert.ok(code && message)
  })

  test('prepares an image, to the same result until the image changes', async ({ driver, subject }) => {
    const { agent } = subject.boxes
    assert.deepEqual(await driver.prepare(agent), await driver.prepare(agent))
  })

  test('refuses an image that does not exist', async ({ driver, subject }, context) => {
    const { withoutImage } = subject.boxes
    if (!withoutImage) return void context.skip('this engine has no images')
    const error = await refuses(driver.prepare(withoutImage), 'START_FAILED')
    assert.equal(error.details.phase, 'pull')
  })

  test('makes a stopped box that has never lived, and finds it every way', async (bench) => {
    const { driver } = bench
    const ref = await bench.create({ tenant: 'Ann 1', hash: 'hash-9' })
    assert.deepEqual([ref.tenant, ref.slug], ['Ann 1', slugOf('Ann 1')])
    const record = await bench.record(ref)
    const { exit, ...rest } = record
    assert.equal(exit, undefined)
    assert.deepEqual(rest, { ref, state: 'stopped', startedAt: 0, spec: 'hash-9', aside: false })
    assert.deepEqual(await driver.find(ref.slug), record)
    assert.deepEqual(await driver.list(), [record])
    assert.equal(await driver.find('nobody'), undefined)
  })

  test('keeps the boxes of two tenants apart', async (bench) => {
    const ann = await bench.create({ tenant: '12345678-a' })
    const bob = await bench.create({ tenant: '12345678-b' })
    assert.notEqual(ann.id, bob.id)
    assert.deepEqual((await bench.driver.find(bob.slug))?.ref, bob)
    await bench.driver.remove(ann)
    assert.deepEqual(
      (await bench.driver.list()).map(({ ref }) => ref),
      [bob],
    )
  })

  test('makes one box of a tenant, however many ask for it', async (bench) => {
    const { driver, subject } = bench
    const spec = await bench.folders('Ann 1', subject.boxes.agent)
    await driver.prepare(spec)
    const identity = { tenant: 'Ann 1', slug: slugOf('Ann 1'), spec: 'hash-1' }
    const outcomes = await Promise.allSettled([1, 2, 3].map(() => driver.create(identity, spec)))
    const made = await driver.list()
    assert.equal(made.length, 1)
    const won = outcomes.filter((outcome) => outcome.status === 'fulfilled').map(({ value }) => value)
    assert.ok(won.length > 0, 'none was made')
    for (const ref of won) assert.deepEqual(ref, made[0]?.ref)
    for (const outcome of outcomes)
      if (outcome.status === 'rejected') await refuses(Promise.reject(outcome.reason))
  })

  test('sees nothing of another pool of the same name', async (bench) => {
    const ref = await bench.running()
    const other = await bench.another({ ...bench.pool, owner: randomUUID() })
    assert.deepEqual(await other.list(), [])
    assert.equal(await other.inspect(ref), undefined)
    assert.equal((await bench.record(ref)).state, 'running')
  })

  test('neither takes nor touches a box that is not ours', async (bench, context) => {
    const { driver, pool, subject } = bench
    if (!subject.plant) return void context.skip('this engine has no boxes but the driver’s')
    const slug = slugOf('Ann 1')
    const stranger = await subject.plant(boxName(pool.name, slug))
    const aside = await subject.plant(asideName(pool.name, slugOf('Bob 2')))
    try {
      await refuses(driver.find(slug), 'FOREIGN_BOX')
      await refuses(bench.create({ tenant: 'Ann 1' }), 'FOREIGN_BOX')
      assert.deepEqual(await driver.list(), [])
      const bob = await bench.create({ tenant: 'Bob 2' })
      await refuses(driver.setAside(bob))
      assert.equal((await bench.record(bob)).aside, false)
      assert.deepEqual([await stranger.exists(), await aside.exists()], [true, true])
    } finally {
      await stranger.remove()
      await aside.remove()
    }
    await bench.create({ tenant: 'Ann 1' })
  })

  test('sets a box aside, so that a successor can be made, and gives it its name back', async (bench) => {
    const { driver } = bench
    const old = await bench.create({ hash: 'old' })
    for (const _ of ['once', 'again']) await driver.setAside(old)
    assert.equal((await bench.record(old)).aside, true)
    assert.equal(await driver.find(old.slug), undefined)

    const young = await bench.create({ hash: 'young' })
    assert.notEqual(young.id, old.id)
    assert.deepEqual((await driver.find(old.slug))?.ref, young)
    assert.deepEqual(
      new Map((await driver.list()).map(({ ref, aside, spec }) => [ref.id, [aside, spec]])),
      new Map([
        [old.id, [true, 'old']],
        [young.id, [false, 'young']],
      ]),
    )
    await refuses(driver.restore(old))
    await refuses(driver.setAside(young))

    await driver.remove(young)
    for (const _ of ['once', 'again']) await driver.restore(old)
    assert.deepEqual((await driver.find(old.slug))?.ref, old)
    assert.equal((await bench.record(old)).aside, false)
  })

  test('removes a box in any state, and none of the tenant’s files', async (bench) => {
    const { driver, subject } = bench
    const removeAndLook = async (ref: BoxRef): Promise<void> => {
      for (const _ of ['once', 'again']) await driver.remove(ref)
      assert.equal(await driver.inspect(ref), undefined)
      assert.equal(await driver.find(ref.slug), undefined)
    }
    await removeAndLook(await bench.create())

    const running = await bench.running()
    const keep = await driver.spawn(running, { command: subject.commands.keep })
    assert.equal(await keep.exited, 0)
    await removeAndLook(running)
    await access(join(bench.workspace(running), 'kept'))

    const paused = await bench.running()
    await driver.pause(paused)
    await removeAndLook(paused)
  })

  test('says of a box that is gone that it is', async (bench) => {
    const { driver, subject } = bench
    const ref = await bench.create()
    await driver.remove(ref)
    assert.equal(await driver.inspect(ref), undefined)
    await driver.stop(ref, { graceMs: 1_000 })
    await driver.remove(ref)
    for (const call of ['start', 'pause', 'resume', 'setAside', 'restore', 'stats'] as const)
      await refuses(driver[call](ref), 'START_FAILED')
    await refuses(driver.spawn(ref, { command: subject.commands.cat }), 'START_FAILED')
    await refuses(driver.logs(ref)[Symbol.asyncIterator]().next(), 'START_FAILED')
    await assert.rejects(bench.dial(ref))
  })

  test('finishes a removal that others have asked for too', async (bench) => {
    const { driver } = bench
    const ref = await bench.running()
    await Promise.all([driver.remove(ref), driver.stop(ref, { graceMs: 1_000 }), driver.remove(ref)])
    assert.deepEqual(await driver.list(), [])
    await bench.create()
  })
}
