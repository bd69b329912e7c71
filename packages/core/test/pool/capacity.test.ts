import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { testClock } from '../../src/testing/index.js'
import { passTimeUntil } from '../pass-time.js'
import { failure, next, of, path, setup } from './helpers.js'

const live = (states: readonly string[]): number =>
  states.filter((state) => state === 'running' || state === 'paused').length

describe('maxRunning', () => {
  it('evicts the least recently active box that nobody leases', async () => {
    const { pool, engine, events } = await setup({ capacity: { maxRunning: 2, minUptime: 0 } })
    await pool.ensure('a')
    await pool.ensure('b')
    await pool.send('a', 'still here').text()
    await pool.ensure('c')
    expect(pool.get('b')?.state).toBe('stopped')
    expect(path(events, 'b')).toContain('>stopping(evicted)>stopped(evicted)')
    expect(live(engine.boxes.map((box) => box.state))).toBe(2)
  })

  it('counts paused boxes, and may evict them', async () => {
    const { pool, engine } = await setup({ capacity: { maxRunning: 1, minUptime: 0 } })
    await pool.ensure('a')
    await pool.pause('a')
    await pool.ensure('b')
    expect(pool.get('a')?.state).toBe('stopped')
    expect(engine.box('a')?.state).toBe('stopped')
  })

  it('never takes a leased box: callers wait, first come, first served', async () => {
    const { pool, engine, events } = await setup({ capacity: { maxRunning: 1, minUptime: 0 } })
    const lease = await pool.lease('a')
    const served: string[] = []
    const waiting = ['b', 'c', 'd'].map(async (tenant) => {
      await pool.use(tenant, () => void served.push(tenant))
    })
    await next(pool, 'queue', ({ tenant }) => tenant === 'd')
    expect(pool.stats()).toMatchObject({ queued: 3, running: 1 })
    expect((await lease.box.fetch('/healthz')).status).toBe(200)
    lease.release()
    await Promise.all(waiting)
    expect(served).toEqual(['b', 'c', 'd'])
    expect(live(engine.boxes.map((box) => box.state))).toBe(1)
    expect(of(events, 'queue').map(({ state }) => state)).toEqual([
      'entered',
      'entered',
      'entered',
      'left',
      'left',
      'left',
    ])
  })

  it('lets nobody overtake the queue', async () => {
    const { pool } = await setup({ capacity: { maxRunning: 1, minUptime: 0 } })
    const lease = await pool.lease('a')
    const order: string[] = []
    const first = pool.use('b', () => void order.push('b'))
    await next(pool, 'queue')
    lease.release()
    // Now there is room in a moment; a burst arrives before it.
    const burst = Array.from({ length: 20 }, (_, i) => pool.use(`x${i}`, () => void order.push(`x${i}`)))
    await Promise.all([first, ...burst])
    expect(order[0]).toBe('b')
    expect(order).toHaveLength(21)
  })

  it('lets who waits in between two uses of another box, however closely they follow each other', async () => {
    const { pool } = await setup({ capacity: { maxRunning: 1, minUptime: 0, queueTimeout: '1h' } })
    let served = false
    await pool.ensure('a')
    const burst = async (): Promise<void> => {
      while (!served) await pool.use('a', () => setImmediate())
    }
    const bursts = burst()
    await pool.ensure('b')
    served = true
    await bursts
  })

  it('times a waiting caller out with QUEUE_TIMEOUT', async () => {
    const clock = testClock()
    const { pool, events } = await setup({ clock, capacity: { maxRunning: 1, queueTimeout: '10s' } })
    await pool.lease('a')
    const late = failure(pool.ensure('b'), 'QUEUE_TIMEOUT')
    await next(pool, 'queue')
    await clock.advance(10_000)
    expect((await late).details).toMatchObject({ waitedMs: 10_000 })
    expect(of(events, 'queue').map(({ state }) => state)).toEqual(['entered', 'timeout'])
    expect(pool.stats().queued).toBe(0)
  })

  it('turns callers away when the queue is full', async () => {
    const { pool } = await setup({ capacity: { maxRunning: 1, maxQueued: 1 } })
    await pool.lease('a')
    const patient = new AbortController()
    const waiting = pool.ensure('b', { signal: patient.signal }).catch(() => 'gave up')
    await next(pool, 'queue')
    expect((await failure(pool.ensure('c'), 'CAPACITY')).details).toEqual({ queued: 1 })
    patient.abort()
    expect(await waiting).toBe('gave up')
    expect(pool.stats().queued).toBe(0)
  })

  it('spares a box younger than minUptime, for just as long', async () => {
    const clock = testClock()
    const { pool } = await setup({ clock, capacity: { maxRunning: 1, minUptime: '30s' } })
    await pool.ensure('a')
    const b = pool.ensure('b')
    await next(pool, 'queue')
    await clock.advance(29_000)
    expect(pool.get('a')?.state).toBe('running')
    await clock.advance(1_000)
    expect((await b).state).toBe('running')
    expect(pool.get('a')?.state).toBe('stopped')
  })

  it('does not hang on a box that its veto keeps', async () => {
    const clock = testClock()
    const { pool, events } = await setup({
      clock,
      capacity: { maxRunning: 2, minUptime: 0, queueTimeout: '1h' },
      idle: { veto: (box) => box.tenant === 'a' },
    })
    await pool.ensure('a')
    await pool.ensure('b')
    await passTimeUntil(pool.ensure('c'), clock)
    expect(pool.get('a')?.state).toBe('running')
    expect(path(events, 'b')).toContain('>stopping(evicted)>stopped(evicted)')
  })

  it('keeps no order waiting for a tenant that waits for room', async () => {
    const { pool } = await setup({ capacity: { maxRunning: 1, minUptime: 0, queueTimeout: '1h' } })
    await pool.ensure('b')
    const lease = await pool.lease('a')
    const b = pool.ensure('b')
    await next(pool, 'queue')
    await pool.remove('b')
    expect(pool.get('b')?.state).toBe('absent')
    lease.release()
    expect((await b).state).toBe('running')
  })

  it('asks one that would not go again after a while', async () => {
    const clock = testClock()
    let busy = true
    const { pool, events } = await setup({
      clock,
      capacity: { maxRunning: 1, minUptime: 0, queueTimeout: '1h' },
      idle: { veto: () => busy },
    })
    await pool.ensure('a')
    const b = pool.ensure('b')
    await next(pool, 'queue')
    await clock.advance(10_000)
    expect(pool.get('a')?.state).toBe('running')
    busy = false
    await passTimeUntil(b, clock)
    expect(path(events, 'a')).toContain('>stopping(evicted)>stopped(evicted)')
  })

  it('lets in at once whose box somebody has started meanwhile', async () => {
    const { pool, engine } = await setup({ capacity: { maxRunning: 1, minUptime: 0, queueTimeout: '1h' } })
    await pool.ensure('b')
    await pool.stop('b')
    const lease = await pool.lease('a')
    const b = pool.ensure('b')
    await next(pool, 'queue')
    engine.box('b')?.start()
    expect((await b).state).toBe('running')
    expect(lease.signal.aborted).toBe(false)
  })

  it('gives the slot of a box that died to who waits', async () => {
    const { pool, engine } = await setup({ capacity: { maxRunning: 1, minUptime: '1h' } })
    await pool.ensure('a')
    const b = pool.ensure('b')
    await next(pool, 'queue')
    engine.box('a')?.kill()
    expect((await b).state).toBe('running')
  })

  it('gives the slot of a start that failed to who waits', async () => {
    const { pool } = await setup(
      {
        capacity: { maxRunning: 1 },
        perTenant: (tenant) => ({ box: { image: tenant === 'a' ? 'bad:1' : 'good:1' } }),
      },
      { images: { 'bad:1': { main: () => 1, agent: false }, 'good:1': {} } },
    )
    const a = failure(pool.ensure('a'), 'START_FAILED')
    const b = pool.ensure('b')
    await a
    expect((await b).state).toBe('running')
  })

  it('can be raised while callers wait', async () => {
    const { pool } = await setup({ capacity: { maxRunning: 1, minUptime: '1h' } })
    await pool.ensure('a')
    const b = pool.ensure('b')
    await next(pool, 'queue')
    pool.update({ capacity: { maxRunning: 2 } })
    expect((await b).state).toBe('running')
  })
})

describe('maxStarting', () => {
  it('bounds the engine starts at one time', async () => {
    const { pool, engine } = await setup({ capacity: { maxStarting: 2 } })
    const tenants = Array.from({ length: 6 }, (_, i) => `t${i}`)
    // Made before, so that only starts stand in line.
    for (const tenant of tenants) {
      await pool.ensure(tenant)
      await pool.stop(tenant)
    }
    const starting = new Set<string>()
    const holds: (() => void)[] = []
    engine.faults.intercept(({ operation, slug = '' }, moment) => {
      if (operation !== 'start' || moment === 'after') return undefined
      starting.add(slug)
      return moment === 'during' ? new Promise((resolve) => holds.push(resolve)) : undefined
    })
    const all = Promise.all(tenants.map((tenant) => pool.ensure(tenant)))
    for (let round = 0; round < 3; round++) {
      while (holds.length < 2) await setImmediate()
      expect(starting.size).toBe(2 * (round + 1))
      for (const release of holds.splice(0)) release()
    }
    await all
  })

  it('takes each box from its making to its start before the next is made', async () => {
    const { pool, engine } = await setup({ capacity: { maxStarting: 1 } })
    const calls: string[] = []
    engine.faults.intercept(({ operation, slug }, moment) => {
      if (moment === 'before' && (operation === 'create' || operation === 'start'))
        calls.push(`${operation} ${slug}`)
      return undefined
    })
    await Promise.all(['a', 'b', 'c'].map((tenant) => pool.ensure(tenant)))
    const made = engine.boxes.map(({ tenant }) => tenant)
    expect(calls).toEqual(made.flatMap((tenant) => [`create ${tenant}`, `start ${tenant}`]))
  })

  it('is no part of the time that a box has to become ready', async () => {
    const clock = testClock()
    const { pool, engine } = await setup({ clock, capacity: { maxStarting: 1 }, timeouts: { wake: '30s' } })
    await pool.ensure('b')
    await pool.stop('b')
    const hold = engine.faults.hold('create')
    const first = pool.ensure('a')
    await hold.reached
    const second = pool.ensure('b')
    for (let seconds = 0; seconds < 1_000; seconds++) {
      await clock.advance(1_000)
      await setImmediate()
    }
    hold.release()
    expect((await first).state).toBe('running')
    expect((await second).state).toBe('running')
  })

  it('is not waited for to clear away what a tenant has left, nor taken for that', async () => {
    const { pool, engine, dataDir } = await setup({ capacity: { maxStarting: 1 } })
    await pool.ensure('a')
    await pool.stop('a')
    const left = join(dataDir, 'a', 'run', 'left')
    await writeFile(left, '')
    const hold = engine.faults.hold('create')
    const others = pool.ensure('b')
    await hold.reached
    const waking = pool.ensure('a')
    while (existsSync(left)) await setImmediate()
    hold.release()
    await Promise.all([others, waking])
  })

  it('starts nothing for whom nobody waits any more', async () => {
    const { pool, engine } = await setup({ capacity: { maxStarting: 1 } })
    const hold = engine.faults.hold('start')
    const first = pool.ensure('a')
    await hold.reached
    const giveUp = new AbortController()
    const second = pool.ensure('b', { signal: giveUp.signal })
    const third = pool.ensure('c')
    giveUp.abort(new Error('never mind'))
    await expect(second).rejects.toThrow('never mind')
    hold.release()
    await Promise.all([first, third])
    expect(engine.boxes.map(({ tenant }) => tenant).sort()).toEqual(['a', 'c'])
  })
})
