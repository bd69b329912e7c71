import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { TenantBoxError, TenantPool } from '../../src/index.js'
import { testClock } from '../../src/testing/index.js'
import { makeDeepTree } from '../disk/trees.js'
import { passTimeUntil } from '../pass-time.js'
import { failure, next, of, path, setup } from './helpers.js'

describe('a box that does not come up', () => {
  it('says how its process ended', async () => {
    const { pool, engine } = await setup(
      {},
      {
        main: ({ stderr }) => {
          stderr.write('cannot find the model\u001b[31m\n')
          return 3
        },
        agent: false,
      },
    )
    const { details, message } = await failure(pool.ensure('a'), 'START_FAILED')
    expect(details).toMatchObject({ phase: 'ready', code: 3, oom: false })
    expect(details.lastLogs).toEqual(['cannot find the model\\u001b[31m'])
    expect(JSON.stringify(details)).not.toContain('model')
    expect(message).toContain('"a"')
    expect(engine.box('a')?.state).toBe('stopped')
    expect(pool.get('a')).toMatchObject({ state: 'stopped', leases: 0 })
  })

  it('is stopped when its agent never listens', async () => {
    const clock = testClock()
    const { pool, engine, events } = await setup({ clock, timeouts: { wake: '20s' } }, { agent: false })
    const failed = failure(pool.ensure('a'), 'START_FAILED')
    await next(pool, 'transition', ({ to }) => to === 'starting')
    await clock.advance(20_000)
    expect((await failed).details).toMatchObject({ phase: 'ready', oom: false })
    expect(engine.box('a')?.state).toBe('stopped')
    expect(path(events, 'a')).toContain('>starting(demand)>stopping(unhealthy)>stopped(unhealthy)')
  })

  it('is left alone for a while when it fails again and again', async () => {
    const clock = testClock()
    const { pool, engine } = await setup({ clock }, { main: () => 1, agent: false })
    for (let i = 0; i < 3; i++) await failure(pool.ensure('a'), 'START_FAILED')
    const starts = engine.calls('start')
    const looping = await failure(pool.ensure('a'), 'CRASH_LOOP')
    expect(looping.details).toMatchObject({ attempts: 3, retryIn: 1000, code: 1 })
    expect(looping).toMatchObject({ retryable: true, retryAfter: 1000 })
    expect(engine.calls('start')).toBe(starts)
    await clock.advance(1_000)
    await failure(pool.ensure('a'), 'START_FAILED')
    expect((await failure(pool.ensure('a'), 'CRASH_LOOP')).details.retryIn).toBe(2000)
  })

  it('names an image that is not there', async () => {
    const { pool } = await setup({ box: { image: 'nothing:1' } }, { images: { 'agent:1': {} } })
    expect((await failure(pool.ensure('a'), 'START_FAILED')).details).toMatchObject({ phase: 'pull' })
    expect(pool.get('a')?.state).toBe('absent')
  })

  it('is told from a stranger with its name', async () => {
    const { pool, engine } = await setup()
    await pool.start()
    const stranger = engine.plant({ name: 'tbx-test-a' })
    await failure(pool.ensure('a'), 'FOREIGN_BOX')
    expect(stranger.state).toBe('stopped')
    expect(engine.boxes).toEqual([stranger])
    await pool.ensure('b')
  })

  it('survives a perTenant that throws', async () => {
    const { pool } = await setup({
      perTenant: (tenant) => {
        if (tenant === 'a') throw new Error('no such plan')
        return {}
      },
    })
    await expect(pool.ensure('a')).rejects.toThrow('no such plan')
    expect((await pool.ensure('b')).state).toBe('running')
    expect(pool.get('a')).toMatchObject({ state: 'absent', leases: 0 })
  })
})

describe('a start that fails', () => {
  it('lets go of the lock, whatever else goes wrong then', async () => {
    const { pool, engine, again, events } = await setup()
    const driver = engine.driver()
    driver.close = () => Promise.reject(new Error('stuck'))
    engine.faults.fail('watch', new Error('no events'))
    await expect(again({ driver }).start()).rejects.toThrow('no events')
    expect(of(events, 'warning')).toMatchObject([{ code: 'START_NOT_UNDONE', cause: { message: 'stuck' } }])
    await pool.start()
  })
})

describe('a close that fails', () => {
  it('says so, and lets go of all the rest', async () => {
    const { engine, dataDir, again } = await setup()
    const driver = engine.driver()
    driver.close = () => Promise.reject(new Error('stuck'))
    const pool = new TenantPool({ name: 'test', driver, dataDir, box: { image: 'agent:1' } })
    await pool.ensure('a')
    makeDeepTree(join(dataDir, 'a', 'workspace'), 3_000)
    const removed = failure(pool.remove('a', { data: 'delete' }), 'POOL_CLOSED')
    const trash = join(dataDir, '.tenantbox', 'trash')
    await vi.waitFor(async () => expect(await readdir(trash)).toHaveLength(1))
    await expect(pool.close()).rejects.toThrow('stuck')
    // The trash is the next owner's, and the lock is free.
    await removed
    await again().start()
  }, 60_000)
})

describe('an engine that goes away', () => {
  it('is waited for, and told of', async () => {
    const clock = testClock()
    const { pool, engine, events } = await setup({ clock })
    await pool.ensure('a')
    const down = next(pool, 'engine', ({ state }) => state === 'down')
    engine.down()
    await down
    expect(pool.stats()).toMatchObject({ ok: false, engine: 'down' })
    const waiting = pool.ensure('b')
    const impatient = failure(pool.ensure('c', { timeout: '1s' }), 'TIMEOUT')
    await clock.advance(1_000)
    await impatient
    engine.up()
    const up = next(pool, 'engine', ({ state }) => state === 'up')
    await clock.advance(10_000)
    await up
    expect((await waiting).state).toBe('running')
    expect(of(events, 'engine').filter(({ state }) => state === 'up')).toHaveLength(1)
    expect(pool.stats()).toMatchObject({ ok: true, engine: 'up' })
  })

  it('takes boxes along, which is found out when it is back', async () => {
    const clock = testClock()
    const { pool, engine, events } = await setup({ clock })
    const box = await pool.ensure('a')
    const down = next(pool, 'engine', ({ state }) => state === 'down')
    engine.down({ boxes: 'stop' })
    await down
    engine.up()
    const died = next(pool, 'transition', ({ to }) => to === 'stopped')
    await clock.advance(10_000)
    expect((await died).reason).toBe('exited')
    await failure(box.fetch('/healthz'), 'STALE_BOX')
    await pool.ensure('a')
    expect(engine.maxLive('a')).toBe(1)
    expect(of(events, 'warning')).toEqual([])
  })

  it('is found out when the first call of a start fails', async () => {
    const { pool, engine } = await setup()
    engine.down()
    await failure(pool.start(), 'ENGINE_UNAVAILABLE')
    engine.up()
    expect(await pool.start()).toMatchObject({ adopted: 0, engine: 'memory' })
  })

  it('may have done what it did not answer', async () => {
    const clock = testClock()
    const { pool, engine } = await setup({ clock, timeouts: { wake: '365d' } })
    await pool.start()
    const lost = new TenantBoxError('ENGINE_UNAVAILABLE', 'gone', { endpoint: 'memory', hint: '' })
    for (const operation of ['create', 'start'] as const) engine.faults.fail(operation, lost, { at: 'after' })
    const waking = pool.ensure('a')
    expect((await passTimeUntil(waking, clock)).state).toBe('running')
    expect(engine.boxes.filter((box) => box.state !== 'removed')).toHaveLength(1)
    expect(engine.maxLive('a')).toBe(1)
  })
})

describe('what others do to a box', () => {
  it('is seen: kill, stop, pause, unpause, remove', async () => {
    const { pool, engine, events } = await setup()
    await pool.ensure('a')
    const seen = (to: string): Promise<unknown> => next(pool, 'transition', (event) => event.to === to)
    let change = seen('paused')
    engine.box('a')?.pause()
    await change
    change = seen('running')
    engine.box('a')?.resume()
    await change
    change = seen('stopped')
    engine.box('a')?.kill()
    await change
    change = seen('absent')
    engine.box('a')?.remove()
    await change
    expect(path(events, 'a')).toContain('>paused(outside)>running(outside)>stopped(exited)>absent(outside)')
    expect((await pool.ensure('a')).state).toBe('running')
  })

  it('is found out by a wake that comes before its event', async () => {
    const { pool, engine } = await setup()
    await pool.ensure('a')
    await pool.stop('a')
    engine.faults.relayEvents(() => undefined)
    engine.box('a')?.remove()
    expect((await pool.ensure('a')).state).toBe('running')
    expect(engine.maxLive('a')).toBe(1)
  })

  it('is not confused by an event that comes late', async () => {
    const { pool, engine, events } = await setup()
    const late: (() => void)[] = []
    await pool.ensure('a')
    const undo = engine.faults.relayEvents((event, deliver) => void late.push(() => deliver(event)))
    await pool.stop('a')
    const box = await pool.ensure('a')
    undo()
    for (const deliver of late) deliver()
    expect((await box.fetch('/healthz')).status).toBe(200)
    expect(box.generation).toBe(2)
    expect(of(events, 'transition').filter(({ reason }) => reason === 'exited')).toEqual([])
  })

  it('is seen also when the clock has been set back since the box was started', async () => {
    const clock = testClock()
    const { pool, engine } = await setup({ clock })
    await pool.ensure('a')
    clock.set(clock.now() - 86_400_000)
    const stopped = next(pool, 'transition', ({ to }) => to === 'stopped')
    engine.box('a')?.kill()
    await passTimeUntil(stopped, clock)
    // By its event, and not by the listing of every five minutes.
    expect(clock.monotonic()).toBeLessThan(60_000)
  })

  it('is found out even when its event was lost', async () => {
    const clock = testClock()
    const { pool, engine } = await setup({ clock })
    await pool.ensure('a')
    engine.faults.relayEvents(() => undefined)
    engine.box('a')?.kill()
    // The request finds nobody; nothing has left, so it goes to the next life.
    expect(await pool.send('a', 'still there?').text()).toBe('still there?')
    expect(pool.get('a')?.generation).toBe(2)
  })
})

describe('listeners', () => {
  it('may throw or reject without harm', async () => {
    const { pool, events } = await setup()
    pool.on('transition', () => {
      throw new Error('bad listener')
    })
    pool.on('ready', (async () => {
      throw new Error('bad async listener')
    }) as () => void)
    await pool.ensure('a')
    await pool.ensure('b')
    expect(
      of(events, 'warning').filter(({ code }) => code === 'LISTENER_FAILED').length,
    ).toBeGreaterThanOrEqual(8)
  })

  it('stop with their signal, their remover, or after once', async () => {
    const { pool } = await setup()
    const heard: string[] = []
    const controller = new AbortController()
    pool.on('ready', () => heard.push('signal'), { signal: controller.signal })
    const off = pool.on('ready', () => heard.push('off'))
    pool.on('ready', () => heard.push('once'), { once: true })
    await pool.ensure('a')
    controller.abort()
    off()
    await pool.ensure('b')
    expect(heard).toEqual(['signal', 'off', 'once'])
  })
})
