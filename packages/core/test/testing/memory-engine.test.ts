import { MemoryEngine, testClock } from '@tenantbox/core/testing'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { DriverEvent } from '../../src/driver.js'
import { TenantBoxError } from '../../src/errors.js'
import { identityOf, opened, POOL, SPEC } from './fixtures.js'

const lost = new TenantBoxError('ENGINE_UNAVAILABLE', 'lost', { endpoint: 'test', hint: 'none' })

/** The next `count` events. */
async function take(events: AsyncIterable<DriverEvent>, count: number): Promise<DriverEvent[]> {
  const taken: DriverEvent[] = []
  for await (const event of events) if (taken.push(event) === count) break
  return taken
}

describe('MemoryEngine', () => {
  it('outlives its drivers', async () => {
    const engine = new MemoryEngine()
    const first = await opened(engine.driver())
    const ref = await first.create(identityOf('ann'), SPEC)
    await first.start(ref)
    const second = await opened(engine.driver())
    expect(await second.list()).toMatchObject([{ ref, state: 'running', spec: 'spec-1', aside: false }])
  })

  it('goes on with what a driver had begun when its process was killed, and answers it no more', async () => {
    const engine = new MemoryEngine()
    const driver = await opened(engine.driver())
    const ref = await driver.create(identityOf('ann'), SPEC)
    const hold = engine.faults.hold('start', { at: 'during' })
    let answered = false
    void driver.start(ref).finally(() => {
      answered = true
    })
    await hold.reached
    driver.crash()
    const next = await opened(engine.driver())
    const events = await next.watch({ signal: AbortSignal.timeout(10_000) })
    hold.release()
    expect(await take(events, 1)).toMatchObject([{ type: 'started', ref }])
    expect(answered).toBe(false)
  })

  it('is acted on from outside, and tells', async () => {
    const engine = new MemoryEngine()
    const driver = await opened(engine.driver())
    const events = await driver.watch({ signal: AbortSignal.timeout(10_000) })
    const ref = await driver.create(identityOf('ann'), SPEC)
    await driver.start(ref)
    const box = engine.box('ann')
    box?.pause()
    expect(await driver.inspect(ref)).toMatchObject({ state: 'paused' })
    box?.resume()
    box?.kill({ oom: true })
    expect(await driver.inspect(ref)).toMatchObject({ state: 'stopped', exit: { code: 137, oom: true } })
    box?.start()
    box?.rename('stolen')
    expect(await driver.inspect(ref)).toBeUndefined()
    expect(await driver.list()).toEqual([])
    box?.rename('tbx-pool-ann')
    box?.remove()
    expect(await driver.inspect(ref)).toBeUndefined()
    const types = (await take(events, 10)).map(({ type }) => type)
    expect(types).toEqual([
      'started',
      'paused',
      'resumed',
      'oom',
      'died',
      'started',
      'renamed',
      'renamed',
      'died',
      'removed',
    ])
  })

  it('tells two lives apart on a clock that stands still', async () => {
    const engine = new MemoryEngine({ clock: testClock() })
    const driver = await opened(engine.driver())
    const ref = await driver.create(identityOf('ann'), SPEC)
    const first = await driver.start(ref)
    engine.box('ann')?.kill()
    const second = await driver.start(ref)
    expect(second.startedAt).toBeGreaterThan(first.startedAt)
  })

  it('times the grace of a stop by its clock', async () => {
    const clock = testClock()
    const engine = new MemoryEngine({ clock, main: () => new Promise<never>(() => undefined) })
    const driver = await opened(engine.driver())
    const ref = await driver.create(identityOf('ann'), SPEC)
    await driver.start(ref)
    const stopping = driver.stop(ref, { graceMs: 500 })
    await clock.advance(499)
    expect(engine.box('ann')?.state).toBe('running')
    await clock.advance(1)
    await stopping
    expect(await driver.inspect(ref)).toMatchObject({ state: 'stopped', exit: { code: 137 } })
    expect(clock.pending).toEqual([])
  })

  it('knows strangers, also those that carry our labels', async () => {
    const engine = new MemoryEngine()
    const driver = await opened(engine.driver())
    await driver.create(identityOf('ann'), SPEC)
    const labels = engine.box('ann')?.labels
    const stranger = engine.plant({ name: 'tbx-pool-bob' })
    engine.plant({ name: 'committed', labels })
    expect((await driver.list()).map(({ ref }) => ref.slug)).toEqual(['ann'])
    await expect(driver.find('bob')).rejects.toMatchObject({
      code: 'FOREIGN_BOX',
      details: { box: 'tbx-pool-bob' },
    })
    await expect(driver.create(identityOf('bob'), SPEC)).rejects.toMatchObject({ code: 'FOREIGN_BOX' })
    stranger.remove()
    expect(await driver.find('bob')).toBeUndefined()
  })

  it('keeps pools apart', async () => {
    const engine = new MemoryEngine()
    const one = await opened(engine.driver())
    const other = engine.driver()
    await other.open({ ...POOL, owner: 'owner-2' })
    const events = await other.watch({ signal: AbortSignal.timeout(10_000) })
    await one.start(await one.create(identityOf('ann'), SPEC))
    expect(await other.list()).toEqual([])
    await expect(other.find('ann')).rejects.toMatchObject({ code: 'FOREIGN_BOX' })
    const ref = await other.create(identityOf('bob'), SPEC)
    await other.start(ref)
    expect(await take(events, 1)).toMatchObject([{ type: 'started', ref }])
  })

  it('counts calls and the most boxes that were live at once', async () => {
    const engine = new MemoryEngine()
    const driver = await opened(engine.driver())
    const old = await driver.create(identityOf('ann'), SPEC)
    await driver.setAside(old)
    const young = await driver.create(identityOf('ann'), SPEC)
    expect(engine.maxLive('ann')).toBe(0)
    await driver.start(young)
    expect(engine.maxLive('ann')).toBe(1)
    await driver.start(old)
    await driver.stop(old, { graceMs: 0 })
    expect(engine.maxLive('ann')).toBe(2)
    expect([engine.calls('start'), engine.calls('inspect'), engine.calls()]).toEqual([2, 0, 7])
  })

  it('has the images it was given, and drifts when one is built anew', async () => {
    const engine = new MemoryEngine({ images: { agent: {} } })
    const driver = await opened(engine.driver())
    const before = await driver.prepare(SPEC)
    expect(await driver.prepare(SPEC)).toEqual(before)
    engine.build('agent', { main: () => 1 })
    expect(await driver.prepare(SPEC)).not.toEqual(before)
    await expect(driver.prepare({ ...SPEC, image: 'none' })).rejects.toMatchObject({
      code: 'START_FAILED',
      details: { phase: 'pull' },
    })
  })

  it('is lost with everything under way, and comes back', async () => {
    const engine = new MemoryEngine()
    const driver = await opened(engine.driver())
    const ref = await driver.create(identityOf('ann'), SPEC)
    await driver.start(ref)
    const events = await driver.watch({ signal: AbortSignal.timeout(10_000) })
    const hold = engine.faults.hold('stop')
    const stopping = driver.stop(ref, { graceMs: 0 })
    await hold.reached
    engine.down()
    await expect(stopping).rejects.toMatchObject({ code: 'ENGINE_UNAVAILABLE' })
    await expect(driver.list()).rejects.toMatchObject({ code: 'ENGINE_UNAVAILABLE' })
    await expect(take(events, 1)).rejects.toMatchObject({ code: 'ENGINE_UNAVAILABLE' })
    const connection = await driver.dial(ref)
    connection.destroy()
    engine.up()
    expect(await driver.list()).toMatchObject([{ state: 'running' }])
  })
})

describe('Faults', () => {
  it('fail the next call, before or after it was done', async () => {
    const engine = new MemoryEngine()
    const driver = await opened(engine.driver())
    engine.faults.fail('create', lost)
    await expect(driver.create(identityOf('ann'), SPEC)).rejects.toBe(lost)
    expect(engine.boxes).toEqual([])
    engine.faults.fail('create', lost, { at: 'after' })
    await expect(driver.create(identityOf('ann'), SPEC)).rejects.toBe(lost)
    expect(engine.boxes).toHaveLength(1)
    expect(await driver.find('ann')).toBeDefined()
  })

  it('strike only whom they are meant for, as often as they are told', async () => {
    const engine = new MemoryEngine()
    const driver = await opened(engine.driver())
    const undo = engine.faults.fail('any', lost, { when: ({ slug }) => slug === 'ann', times: 2 })
    await driver.find('bob')
    await expect(driver.find('ann')).rejects.toBe(lost)
    await expect(driver.create(identityOf('ann'), SPEC)).rejects.toBe(lost)
    await driver.find('ann')
    undo()
    engine.faults.fail('any', lost)
    engine.faults.clear()
    await driver.find('ann')
  })

  it('hold a call at each of its moments', async () => {
    const engine = new MemoryEngine()
    const driver = await opened(engine.driver())
    const ref = await driver.create(identityOf('ann'), SPEC)
    const seen: unknown[] = []
    for (const [at, state] of [
      ['before', 'stopped'],
      ['during', 'stopped'],
      ['after', 'running'],
    ] as const) {
      const hold = engine.faults.hold('start', { at })
      const starting = driver.start(ref)
      seen.push(await hold.reached)
      expect(engine.box('ann')?.state).toBe(state)
      hold.release()
      await starting
      expect(engine.box('ann')?.state).toBe('running')
      engine.box('ann')?.kill()
    }
    expect(seen).toEqual(Array(3).fill({ operation: 'start', slug: 'ann', box: ref.id }))
  })

  it('let the engine finish what a caller has given up', async () => {
    const engine = new MemoryEngine()
    const driver = await opened(engine.driver())
    const ref = await driver.create(identityOf('ann'), SPEC)
    for (const [at, state] of [
      ['before', 'stopped'],
      ['during', 'running'],
    ] as const) {
      const controller = new AbortController()
      const hold = engine.faults.hold('start', { at })
      const starting = driver.start(ref, { signal: controller.signal })
      await hold.reached
      controller.abort(new Error('enough'))
      await expect(starting).rejects.toThrow('enough')
      hold.release()
      await driver.list()
      expect(engine.box('ann')?.state).toBe(state)
    }
  })

  it('let a process go that nobody waits for any more', async () => {
    let ended: AbortSignal | undefined
    const engine = new MemoryEngine({
      exec: ({ signal }) => {
        ended = signal
        return new Promise<never>(() => undefined)
      },
    })
    const driver = await opened(engine.driver())
    const ref = await driver.create(identityOf('ann'), SPEC)
    await driver.start(ref)
    const controller = new AbortController()
    const hold = engine.faults.hold('spawn', { at: 'after' })
    const spawning = driver.spawn(ref, { command: ['sleep'] }, { signal: controller.signal })
    await hold.reached
    controller.abort(new Error('enough'))
    await expect(spawning).rejects.toThrow('enough')
    expect(ended?.aborted).toBe(true)
  })

  it('leave the order of everything to a scheduler', async () => {
    const outcomes = new Set<string>()
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), async (scheduler) => {
        const engine = new MemoryEngine()
        const driver = await opened(engine.driver())
        const ref = await driver.create(identityOf('ann'), SPEC)
        engine.faults.intercept(({ operation }, moment) =>
          scheduler.schedule(Promise.resolve(), `${moment} ${operation}`).then(() => undefined),
        )
        const calls = Promise.all([driver.start(ref), driver.stop(ref, { graceMs: 0 }), driver.list()])
        await scheduler.waitFor(calls)
        const [, , [listed]] = await calls
        outcomes.add(`${listed?.state} ${engine.box('ann')?.state}`)
        expect(engine.maxLive('ann')).toBe(1)
      }),
      { seed: 1 },
    )
    expect([...outcomes].sort()).toEqual(
      expect.arrayContaining(['running running', 'running stopped', 'stopped running', 'stopped stopped']),
    )
  })

  it('delay calls by the engine’s clock', async () => {
    const clock = testClock()
    const engine = new MemoryEngine({ clock })
    const driver = await opened(engine.driver())
    engine.faults.delay('list', 100)
    let listed = false
    const listing = driver.list().then(() => {
      listed = true
    })
    await clock.advance(99)
    expect(listed).toBe(false)
    await clock.advance(1)
    await listing
  })

  it('lose, repeat and reorder events', async () => {
    const engine = new MemoryEngine()
    const driver = await opened(engine.driver())
    const events = await driver.watch({ signal: AbortSignal.timeout(10_000) })
    const ref = await driver.create(identityOf('ann'), SPEC)
    const late: (() => void)[] = []
    const undo = engine.faults.relayEvents((event, deliver) => {
      if (event.type === 'started') late.push(() => deliver(event))
      if (event.type === 'resumed') for (const _ of [1, 2]) deliver(event)
    })
    await driver.start(ref)
    await driver.pause(ref)
    await driver.resume(ref)
    for (const deliver of late) deliver()
    undo()
    await driver.stop(ref, { graceMs: 0 })
    expect((await take(events, 4)).map(({ type }) => type)).toEqual(['resumed', 'resumed', 'started', 'died'])
  })
})
