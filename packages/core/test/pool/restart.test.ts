import { mkdir, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { testClock } from '../../src/testing/index.js'
import { passTimeUntil } from '../pass-time.js'
import { failure, next, of, path, setup } from './helpers.js'

const MINUTE = 60_000

describe('a new process', () => {
  it('adopts every box, in whatever state it is', async () => {
    const { pool, again, engine, events } = await setup()
    await Promise.all(['runs', 'sleeps', 'stopped', 'none'].map((tenant) => pool.ensure(tenant)))
    await pool.pause('sleeps')
    await pool.stop('stopped')
    await pool.remove('none')
    await pool.close()
    events.length = 0
    const starts = engine.calls('start')
    const asked = (): number[] => [engine.calls('list'), engine.calls('inspect') + engine.calls('find')]
    const [lists = 0, others] = asked()
    const next = again()
    expect(await next.start()).toMatchObject({ adopted: 3 })
    expect(asked()).toEqual([lists + 1, others])
    expect([...next.list()].map(({ tenant, state }) => [tenant, state]).sort()).toEqual([
      ['none', 'absent'],
      ['runs', 'running'],
      ['sleeps', 'paused'],
      ['stopped', 'stopped'],
    ])
    expect(path(events, 'runs')).toBe('absent>running(adopted)')
    for (const tenant of ['runs', 'sleeps']) expect(await next.send(tenant, tenant).text()).toBe(tenant)
    expect(engine.calls('start')).toBe(starts)
    expect(engine.maxLive('runs')).toBe(1)
  })

  it('carries idle deadlines on', async () => {
    const clock = testClock(Date.now())
    const { pool, again } = await setup({ clock, idle: { stopAfter: '30m' } })
    await pool.ensure('a')
    await pool.close()
    await clock.advance(29 * MINUTE)
    const second = again()
    await second.start()
    expect(second.get('a')?.state).toBe('running')
    const stopped = next(second, 'transition', ({ to }) => to === 'stopped')
    await clock.advance(MINUTE + 5_000)
    await stopped
  })

  it('stops at once what has been overdue for long, without pausing it first', async () => {
    const clock = testClock(Date.now())
    const { pool, again, events } = await setup({ clock, idle: { pauseAfter: '5m', stopAfter: '30m' } })
    await pool.ensure('a')
    await pool.close()
    await clock.advance(300 * MINUTE)
    events.length = 0
    const second = again()
    const stopped = next(second, 'transition', ({ to }) => to === 'stopped')
    await second.start()
    await clock.advance(0)
    await stopped
    expect(path(events, 'a')).toBe('absent>running(adopted)>stopping(idle)>stopped(idle)')
  })

  it('leaves a tenant the idle tiers that perTenant gives it, before it ever woke here', async () => {
    const clock = testClock(Date.now())
    const { pool, again } = await setup({
      clock,
      idle: { stopAfter: '10m' },
      perTenant: (tenant) => (tenant === 'pro' ? { idle: { stopAfter: '60m' } } : {}),
    })
    await Promise.all([pool.ensure('pro'), pool.ensure('free')])
    await pool.close()
    const second = again()
    await second.start()
    const stopped = next(second, 'transition', ({ tenant, to }) => tenant === 'free' && to === 'stopped')
    await clock.advance(11 * MINUTE)
    await stopped
    await second.reap()
    expect(second.get('pro')?.state).toBe('running')
    const proStopped = next(second, 'transition', ({ tenant, to }) => tenant === 'pro' && to === 'stopped')
    await clock.advance(50 * MINUTE)
    await proStopped
  })

  it('takes a box for ready by the probe that perTenant gives its tenant', async () => {
    const clock = testClock()
    const { pool, again, engine } = await setup(
      { clock, perTenant: () => ({ box: { ready: 'started' } }) },
      { agent: false },
    )
    await passTimeUntil(pool.ensure('a'), clock)
    await pool.close()
    const second = again()
    await passTimeUntil(second.ensure('a'), clock)
    expect(engine.calls('start')).toBe(1)
  })

  it('marks the boxes that were made from an older spec', async () => {
    const { pool, again } = await setup()
    await pool.ensure('a')
    await pool.close()
    const same = again()
    await same.start()
    expect(same.get('a')?.drifted).toBe(false)
    await same.close()
    const changed = again({ box: { image: 'agent:1', env: { NEW: '1' } } })
    await changed.start()
    while (!changed.get('a')?.drifted) await setImmediate()
    expect(changed.get('a')?.state).toBe('running')
  })

  it('has the last activity at most five seconds old, also after a crash in the middle of a lease', async () => {
    const clock = testClock(Date.now())
    const { pool, dataDir } = await setup({ clock, timeouts: { lease: '1h' } })
    await pool.lease('a')
    for (let i = 0; i < 20; i++) {
      await clock.advance(1_000)
      const { mtimeMs } = await stat(join(dataDir, 'a', 'tenant.json'))
      if (i > 5) expect(clock.now() - mtimeMs).toBeLessThanOrEqual(5_000)
    }
  })

  it('finishes a half-created box, and uses it', async () => {
    const { pool, again, engine } = await setup()
    await pool.start()
    const hold = engine.faults.hold('start')
    const waking = pool.ensure('a').catch(() => 'cut off')
    await hold.reached
    const closing = pool.close({ drain: 0 }).catch(() => undefined)
    hold.release()
    await Promise.all([waking, closing])
    const second = again()
    expect((await second.start()).adopted).toBe(1)
    expect((await second.ensure('a')).state).toBe('running')
    expect(engine.boxes).toHaveLength(1)
  })

  it('rebuilds an unreadable tenant.json from the box’s label, and reports strays', async () => {
    const { pool, again, dataDir, events } = await setup()
    await pool.ensure('Älice')
    const slug = pool.get('Älice')?.slug as string
    await pool.close()
    await writeFile(join(dataDir, slug, 'tenant.json'), '{')
    await mkdir(join(dataDir, 'photos'))
    const second = again()
    await second.start()
    expect(second.get('Älice')).toMatchObject({ state: 'running' })
    expect(of(events, 'warning').map(({ code, tenant }) => [code, tenant])).toEqual([
      ['STRAY_FOLDER', undefined],
      ['TENANT_FILE_REPAIRED', 'Älice'],
    ])
    expect([...second.list()].map(({ tenant }) => tenant)).toEqual(['Älice'])
  })

  it('takes a last activity in the future for now', async () => {
    const clock = testClock(Date.now())
    const { pool, again, dataDir } = await setup({ clock, idle: { stopAfter: '30m' } })
    await pool.ensure('a')
    await pool.close()
    await utimes(join(dataDir, 'a', 'tenant.json'), 4e9, 4e9)
    const second = again()
    await second.start()
    expect(second.get('a')?.lastActivity).toBeLessThanOrEqual(clock.now())
  })

  it('knows a box whose folder is gone', async () => {
    const { pool, again, dataDir } = await setup()
    await pool.ensure('a')
    await pool.close({ boxes: 'stop' })
    await rm(join(dataDir, 'a'), { recursive: true })
    const second = again()
    await second.start()
    expect(second.get('a')?.state).toBe('stopped')
    expect((await second.ensure('a')).state).toBe('running')
  })
})

describe('two pools', () => {
  it('never own one folder', async () => {
    const { pool, again } = await setup()
    await pool.start()
    const locked = await failure(again().start(), 'POOL_LOCKED')
    expect(locked.details.holder).toContain(String(process.pid))
  })

  it('hand a folder over', async () => {
    const { pool, again } = await setup()
    await pool.ensure('a')
    const second = again({ lock: 'wait' })
    const waiting = next(second, 'lock', ({ state }) => state === 'waiting')
    const started = second.start()
    await waiting
    expect(second.stats()).toMatchObject({ ok: false, lock: 'waiting' })
    await pool.close()
    expect(await started).toMatchObject({ adopted: 1 })
    expect(second.stats()).toMatchObject({ ok: true, lock: 'held' })
  })

  it('stop waiting when told to', async () => {
    const { pool, again } = await setup()
    await pool.start()
    const second = again({ lock: 'wait' })
    const controller = new AbortController()
    const waiting = next(second, 'lock', ({ state }) => state === 'waiting')
    const started = second.start({ signal: controller.signal })
    await waiting
    controller.abort(new Error('never mind'))
    await expect(started).rejects.toThrow('never mind')
  })

  it('with other names on one engine never touch each other', async () => {
    const { pool, engine, dataDir } = await setup()
    const { TenantPool } = await import('../../src/index.js')
    const other = new TenantPool({
      name: 'other',
      driver: engine.driver(),
      dataDir: `${dataDir}-other`,
      box: { image: 'agent:1' },
    })
    await Promise.all([pool.ensure('a'), other.ensure('a')])
    await other.close({ boxes: 'remove' })
    await rm(`${dataDir}-other`, { recursive: true })
    expect(await pool.send('a', 'still here').text()).toBe('still here')
    expect(pool.get('a')?.generation).toBe(1)
  })
})

describe('close', () => {
  it('keeps, stops or removes the boxes as asked', async () => {
    const { pool, again, engine } = await setup()
    await pool.ensure('a')
    await pool.close()
    expect(engine.box('a')?.state).toBe('running')
    const second = again()
    await second.start()
    await second.close({ boxes: 'stop' })
    expect(engine.box('a')?.state).toBe('stopped')
    const third = again({ onClose: 'remove' })
    await third.start()
    await third.close()
    expect(engine.boxes.filter((box) => box.state !== 'removed')).toEqual([])
  })

  it('lets what is under way end first, within the drain time', async () => {
    const { pool } = await setup()
    let release = (_result: string): void => undefined
    let began = (): void => undefined
    const underWay = new Promise<void>((resolve) => {
      began = resolve
    })
    const work = pool.use('a', async (box) => {
      began()
      const result = await new Promise<string>((resolve) => {
        release = resolve
      })
      expect((await box.fetch('/healthz')).status).toBe(200)
      return result
    })
    await underWay
    const closed = pool.close()
    await failure(pool.ensure('b'), 'POOL_CLOSED')
    release('done')
    expect(await work).toBe('done')
    await closed
  })

  it('and a stop that waits for leases do not lose each other', async () => {
    const { pool } = await setup()
    const lease = await pool.lease('a')
    const stopped = pool.stop('a', { timeout: '1h' })
    const closed = pool.close({ boxes: 'stop', drain: '1h' })
    lease.release()
    await Promise.all([stopped, closed])
    expect(pool.stats()).toMatchObject({ ok: false, lock: 'lost' })
  })

  it('aborts the leases that a stop waits for when the drain time is over', async () => {
    const { pool } = await setup()
    const lease = await pool.lease('a')
    const stopped = pool.stop('a', { timeout: '1h' })
    await pool.close({ boxes: 'stop', drain: 10 })
    await stopped
    expect(lease.signal.reason).toMatchObject({ code: 'POOL_CLOSED' })
  })

  it('refuses those who wait behind a stop, and lets go when nothing goes on any more', async () => {
    const { pool, engine, dataDir } = await setup()
    await pool.lease('a')
    const stopped = pool.stop('a', { timeout: '1h' })
    const removed = pool.remove('a', { timeout: '1h', data: 'delete' }).catch((error: unknown) => error)
    await pool.close({ drain: 0 })
    expect(engine.box('a')?.state).toBe('stopped')
    await stopped
    expect(await removed).toMatchObject({ code: 'POOL_CLOSED' })
    await stat(join(dataDir, 'a', 'tenant.json'))
  })

  it('refuses what it does not know, before anything happens', async () => {
    const { pool } = await setup()
    await pool.ensure('a')
    await failure(pool.close({ boxes: 'Keep' as 'keep' }), 'INVALID_OPTION')
    await failure(pool.remove('a', { data: 'Delete' as 'delete' }), 'INVALID_OPTION')
    await failure(pool.stop('a', { leases: 'Abort' as 'abort' }), 'INVALID_OPTION')
    await failure(pool.ensure('a', { timeout: 'x' as '1s' }), 'INVALID_OPTION')
    expect(pool.get('a')?.state).toBe('running')
  })

  it('aborts a start under way', async () => {
    const { pool, engine } = await setup()
    const hold = engine.faults.hold('list')
    const started = pool.start().catch((error: unknown) => error)
    await hold.reached
    const closed = pool.close()
    hold.release()
    expect(await started).toMatchObject({ code: 'POOL_CLOSED' })
    await closed
  })
})
