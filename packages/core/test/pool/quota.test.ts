import { existsSync, rmSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { testClock } from '../../src/testing/index.js'
import { failure, next, of, path, setup } from './helpers.js'
import { fill, LIMITED, quotas, secondsUntil, workspaceOf } from './quotas.js'

const MINUTE = 60_000
describe('a tenant over its limit', () => {
  it('is stopped when its lease has ended, and not woken until it has shrunk', async () => {
    const clock = testClock()
    const world = await setup({ clock, box: LIMITED })
    const { pool, events } = world
    await pool.use('a', () => fill(world, 'a'))
    const quota = next(pool, 'quota')
    const stopped = next(pool, 'transition', ({ to }) => to === 'stopped')
    const { bytes, limit } = await secondsUntil(quota, clock)
    expect(bytes).toBeGreaterThan(200_000)
    expect(limit).toBe(102_400)
    await stopped
    expect(path(events, 'a')).toMatch(/>stopping\(quota\)>stopped\(quota\)$/)
    const refused = await failure(pool.send('a', 'hello').text(), 'OVER_QUOTA')
    expect(refused.details).toEqual({ bytes, limit })
    expect(refused).toMatchObject({ tenant: 'a', retryable: false })
    expect(pool.get('a')).toMatchObject({ state: 'stopped', leases: 0 })
    expect(pool.stats().running).toBe(0)
    // The gateway tidies up.
    expect(existsSync(join(workspaceOf(world, 'a'), 'big'))).toBe(true)
    rmSync(join(workspaceOf(world, 'a'), 'big'))
    expect(await pool.send('a', 'hello').text()).toBe('hello')
    expect(quotas(world)).toEqual([
      ['a', true],
      ['a', false],
    ])
  })

  it('keeps what it has begun: a lease is never cut short, and newcomers queue behind it', async () => {
    const clock = testClock()
    const world = await setup({ clock, box: LIMITED })
    const { pool } = world
    const lease = await pool.lease('a')
    fill(world, 'a')
    await secondsUntil(next(pool, 'quota'), clock)
    const late = failure(pool.ensure('a', { timeout: '1h' }), 'OVER_QUOTA')
    expect((await lease.box.fetch('/healthz')).status).toBe(200)
    expect(lease.signal.aborted).toBe(false)
    const stopped = next(pool, 'transition', ({ to }) => to === 'stopped')
    lease.release()
    await secondsUntil(stopped, clock)
    await late
  })

  it('lets newcomers in again after a minute, rather than making them wait for a lease without end', async () => {
    const clock = testClock()
    const world = await setup({ clock, box: LIMITED, timeouts: { lease: false } })
    const { pool, events } = world
    await pool.lease('a')
    fill(world, 'a')
    await secondsUntil(next(pool, 'quota'), clock)
    expect((await secondsUntil(pool.ensure('a'), clock)).state).toBe('running')
    expect(of(events, 'warning')).toEqual([])
  })

  it('counts from the first wake on, also in a new process', async () => {
    const world = await setup({ box: LIMITED })
    await world.pool.ensure('a')
    await world.pool.close({ boxes: 'stop' })
    fill(world, 'a')
    const second = world.again()
    await failure(second.ensure('a'), 'OVER_QUOTA')
    await failure(second.ensure('a'), 'OVER_QUOTA')
    expect(quotas(world)).toEqual([['a', true]])
    expect(world.engine.calls('start')).toBe(1)
  })

  it('is found out too when its box was taken over running, by the limit of its own', async () => {
    const clock = testClock()
    const perTenant = (tenant: string) =>
      tenant === 'small' ? { box: { limits: { disk: '100k' as const } } } : {}
    const world = await setup({ clock, perTenant, box: { image: 'agent:1', limits: { disk: '1g' } } })
    for (const tenant of ['small', 'large']) await world.pool.ensure(tenant)
    await world.pool.close()
    for (const tenant of ['small', 'large']) fill(world, tenant)
    const second = world.again()
    await second.start()
    const stopped = next(second, 'transition', ({ to }) => to === 'stopped')
    expect(await secondsUntil(stopped, clock)).toMatchObject({ tenant: 'small', reason: 'quota' })
    await clock.advance(10 * MINUTE)
    expect(second.get('large')?.state).toBe('running')
    expect(quotas(world)).toEqual([['small', true]])
  })

  it('is measured once more when it sleeps, so that what grew last is known', async () => {
    const clock = testClock()
    const world = await setup({ clock, box: LIMITED })
    await world.pool.ensure('a')
    await world.pool.stop('a')
    fill(world, 'a')
    await secondsUntil(next(world.pool, 'quota'), clock)
    await failure(world.pool.ensure('a'), 'OVER_QUOTA')
    expect(world.pool.get('a')?.state).toBe('stopped')
    // And then it is left alone.
    await clock.advance(10 * MINUTE)
    expect(clock.pending.filter((timer) => timer.in <= 1_000)).toEqual([])
  })

  it('follows a limit that is changed while it runs', async () => {
    const clock = testClock()
    const world = await setup({ clock, box: { image: 'agent:1', limits: { disk: '10m' } } })
    const { pool } = world
    await pool.use('a', () => fill(world, 'a'))
    await clock.advance(MINUTE)
    expect(quotas(world)).toEqual([])
    pool.update({ box: LIMITED })
    const stopped = next(pool, 'transition', ({ to }) => to === 'stopped')
    await secondsUntil(stopped, clock)
    await failure(pool.ensure('a'), 'OVER_QUOTA')
    pool.update({ box: { image: 'agent:1', limits: { disk: '10m' } } })
    expect((await pool.ensure('a')).state).toBe('running')
    expect(quotas(world)).toEqual([
      ['a', true],
      ['a', false],
    ])
  })

  it('is over also when its run folder is what is big', async () => {
    const clock = testClock()
    const world = await setup({ clock, box: LIMITED })
    await world.pool.use('a', () => writeFile(join(world.dataDir, 'a', 'run', 'log'), 'x'.repeat(200_000)))
    await secondsUntil(next(world.pool, 'quota'), clock)
  })

  it('does not keep the pool from closing, leased or not', async () => {
    const clock = testClock()
    const world = await setup({ clock, box: LIMITED })
    const { pool, engine } = world
    const lease = await pool.lease('a')
    fill(world, 'a')
    await secondsUntil(next(pool, 'quota'), clock)
    const closed = pool.close({ drain: '1h' })
    expect((await lease.box.fetch('/healthz')).status).toBe(200)
    lease.release()
    await closed
    expect(engine.box('a')?.state).toBe('running')
    expect(clock.pending).toEqual([])
  })
})

describe('a tenant within its limit, or without one', () => {
  it('is over no more when its limit is taken away', async () => {
    const clock = testClock()
    const world = await setup({ clock, box: LIMITED, timeouts: { lease: false } })
    const { pool } = world
    const lease = await pool.lease('a')
    fill(world, 'a')
    await secondsUntil(next(pool, 'quota'), clock)
    pool.update({ box: { image: 'agent:1' } })
    // Long enough for whoever was to be stopped to be looked at again.
    await clock.advance(6 * 60_000)
    lease.release()
    await clock.advance(6 * 60_000)
    expect(pool.get('a')?.state).toBe('running')
    await pool.stop('a')
    expect((await pool.ensure('a')).state).toBe('running')
    expect(clock.pending.filter((timer) => timer.in <= 1_000)).toEqual([])
  })

  it('costs nothing without one', async () => {
    const clock = testClock()
    const world = await setup({ clock })
    await world.pool.use('a', () => fill(world, 'a', 10_000_000))
    expect(clock.pending.filter((timer) => timer.in <= 1_000)).toEqual([])
  })

  it('has its use forgotten with its files', async () => {
    const clock = testClock()
    const world = await setup({ clock, box: LIMITED })
    const { pool } = world
    await pool.use('a', () => fill(world, 'a'))
    const stopped = next(pool, 'transition', ({ to }) => to === 'stopped')
    await secondsUntil(stopped, clock)
    await pool.remove('a', { data: 'delete' })
    expect((await pool.ensure('a')).state).toBe('running')
  })
})
