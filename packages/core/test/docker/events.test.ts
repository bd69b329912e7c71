import { describe, expect, it } from 'vitest'
import type { DriverEvent } from '../../src/driver.js'
import { isTenantBoxError } from '../../src/errors.js'
import { LABELS } from '../../src/identity.js'
import { proxyEngine } from './engine-proxy.js'
import { engine, failure, makeWorld, specOf, useToolImage } from './world.js'

const image = useToolImage()

/** Reads events until one is of this type. */
async function until(events: AsyncIterator<DriverEvent>, type: DriverEvent['type']): Promise<DriverEvent[]> {
  const seen: DriverEvent[] = []
  for (;;) {
    const next = await events.next()
    if (next.done) throw new Error(`the stream ended before ${type}`)
    seen.push(next.value)
    if (next.value.type === type) return seen
  }
}

function watching() {
  const controller = new AbortController()
  return { controller, signal: controller.signal }
}

describe('events', () => {
  it('tell everything that happens to a box, in order', async () => {
    const { driver, box, pool } = await makeWorld()
    const ref = await box('ann', specOf(image))
    const { controller, signal } = watching()
    const events = (await driver.watch({ signal }))[Symbol.asyncIterator]()
    const { startedAt } = await driver.start(ref)
    await driver.pause(ref)
    await driver.resume(ref)
    await engine.getContainer(ref.id).kill()
    await engine.getContainer(ref.id).wait()
    await driver.setAside(ref)
    await engine.getContainer(ref.id).rename({ name: `elsewhere-${pool.name}` })
    await engine.getContainer(ref.id).remove()
    const seen = await until(events, 'renamed')
    seen.push(...(await until(events, 'renamed')))
    expect(seen.map(({ type }) => type)).toEqual([
      'started',
      'paused',
      'resumed',
      'died',
      'renamed',
      'renamed',
    ])
    expect(new Set(seen.map((event) => JSON.stringify(event.ref)))).toEqual(new Set([JSON.stringify(ref)]))
    const times = seen.map(({ at }) => at)
    expect(times).toEqual([...times].sort((a, b) => a - b))
    expect(seen[0]?.at).toBeGreaterThanOrEqual(startedAt)
    controller.abort()
  })

  it('miss nothing from the moment of the subscription, though it begins to be read later', async () => {
    const { driver, box } = await makeWorld()
    const refs = await Promise.all(['a', 'b', 'c', 'd'].map((tenant) => box(tenant, specOf(image))))
    const { controller, signal } = watching()
    const events = await driver.watch({ signal })
    await Promise.all(refs.map((ref) => driver.start(ref)))
    await Promise.all(refs.map((ref) => driver.remove(ref)))
    const removed = new Set<string>()
    for await (const { type, ref } of events) {
      if (type === 'removed') removed.add(ref.tenant)
      if (removed.size === refs.length) break
    }
    expect([...removed].sort()).toEqual(['a', 'b', 'c', 'd'])
    controller.abort()
  })

  it('tell of an agent killed for want of memory', async () => {
    const { driver, box } = await makeWorld()
    const ref = await box('ann', specOf(image, { command: ['/bin/perl', '-e', '$x = "x" x 2_000_000_000'] }))
    const { controller, signal } = watching()
    const events = (await driver.watch({ signal }))[Symbol.asyncIterator]()
    await driver.start(ref)
    // The engine tells of the end and of its reason by two ways of its own, in either order.
    expect((await until(events, 'oom')).at(-1)?.ref).toEqual(ref)
    controller.abort()
  })

  it('pass over containers that only carry our labels', async () => {
    const { driver, box, pool } = await makeWorld()
    const ref = await box('ann', specOf(image))
    const { Config } = await engine.getContainer(ref.id).inspect()
    const { controller, signal } = watching()
    const events = (await driver.watch({ signal }))[Symbol.asyncIterator]()
    const stranger = await engine.createContainer({
      name: `imitation-${pool.name}`,
      Image: image,
      Cmd: ['/bin/id'],
      Labels: { ...Config.Labels, [LABELS.tenant]: 'ann' },
    })
    await stranger.start()
    await stranger.remove({ force: true })
    await driver.start(ref)
    expect((await until(events, 'started')).map((event) => event.ref.id)).toEqual([ref.id])
    controller.abort()
  })

  it('throw when the stream breaks, and go on with a new subscription', async () => {
    const proxy = await proxyEngine()
    const { driver, box } = await makeWorld({ socketPath: proxy.socketPath })
    const ref = await box('ann', specOf(image))
    const { controller, signal } = watching()
    const events = (await driver.watch({ signal }))[Symbol.asyncIterator]()
    const next = failure(events.next())
    proxy.cut()
    expect(isTenantBoxError(await next, 'ENGINE_UNAVAILABLE')).toBe(true)
    const again = (await driver.watch({ signal }))[Symbol.asyncIterator]()
    await driver.start(ref)
    expect((await until(again, 'started')).at(-1)?.ref).toEqual(ref)
    controller.abort()
  })

  it('end with the reason when the reader gives up, also one that never began to read', async () => {
    const proxy = await proxyEngine()
    const { driver } = await makeWorld({ socketPath: proxy.socketPath })
    for (const reads of [true, false]) {
      const { controller, signal } = watching()
      const events = (await driver.watch({ signal }))[Symbol.asyncIterator]()
      const next = reads ? failure(events.next()) : undefined
      controller.abort(new Error('enough'))
      expect(String(await (next ?? failure(events.next())))).toContain('enough')
    }
  })
})

describe('a wake from stopped', () => {
  it('asks the engine for nothing but the start and its time, as long as image events come', async () => {
    const proxy = await proxyEngine()
    const { driver, box } = await makeWorld({ socketPath: proxy.socketPath })
    const spec = specOf(image)
    const ref = await box('ann', spec)
    const { controller, signal } = watching()
    await driver.watch({ signal })
    const { image: id } = await driver.prepare(spec)
    proxy.requests.length = 0
    expect(await driver.prepare(spec)).toEqual({ image: id })
    await driver.start(ref)
    expect(proxy.requests.map((line) => line.replace(ref.id, '<id>'))).toEqual([
      'POST /containers/<id>/start',
      'GET /containers/<id>/json',
    ])
    proxy.requests.length = 0
    await driver.pause(ref)
    await driver.resume(ref)
    await driver.stop(ref, { graceMs: 1_000 })
    expect(proxy.requests).toHaveLength(3)
    controller.abort()
  })

  it('sees that its image has changed, with image events and without', async () => {
    const { driver } = await makeWorld()
    const tag = `${image.split(':')[1]}-moving`
    const spec = specOf(`tenantbox-test:${tag}`)
    const made = new Set<string>()
    const move = async (change: string) => {
      const source = await engine.createContainer({ Image: image, Cmd: ['-'], Labels: { change } })
      const { Id } = await source.commit({ repo: 'tenantbox-test', tag })
      made.add(Id)
      await source.remove()
    }
    const { controller, signal } = watching()
    try {
      await move('1')
      const ids = [(await driver.prepare(spec)).image]
      await move('2')
      ids.push((await driver.prepare(spec)).image)
      await driver.watch({ signal })
      ids.push((await driver.prepare(spec)).image)
      await move('3')
      // The event comes on its own connection.
      await expect.poll(async () => (await driver.prepare(spec)).image).not.toBe(ids[2])
      expect(ids[1]).not.toBe(ids[0])
      expect(ids[2]).toBe(ids[1])
    } finally {
      controller.abort()
      for (const id of made) await engine.getImage(id).remove({ force: true })
    }
  })
})
