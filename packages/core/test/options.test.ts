import { describe, expect, it } from 'vitest'
import { isTenantBoxError } from '../src/errors.js'
import { changeSettings, type PoolOptions, resolveOptions, resolveSettings } from '../src/options.js'
import { applyOverrides } from '../src/overrides.js'
import { memoryDriver } from '../src/testing/index.js'

const base = (): PoolOptions => ({
  name: 'test',
  driver: memoryDriver(),
  dataDir: './data',
  box: { image: 'agent:1' },
})

const refusal = (change: object): { option: string; message: string } => {
  try {
    resolveOptions({ ...base(), ...change } as PoolOptions)
  } catch (error) {
    if (isTenantBoxError(error, 'INVALID_OPTION'))
      return { option: error.details.option, message: error.message }
    throw error
  }
  throw new Error(`accepted: ${JSON.stringify(change)}`)
}

describe('resolveOptions', () => {
  it('fills in the documented defaults', () => {
    const { settings, ...rest } = resolveOptions(base())
    expect(rest).toMatchObject({ onDrift: 'next-wake', lock: 'fail', strict: false, onClose: 'keep' })
    expect(settings.idle).toEqual({
      pauseAfter: undefined,
      stopAfter: 1_800_000,
      removeAfter: undefined,
      veto: undefined,
    })
    expect(settings.timeouts).toEqual({
      wake: 60_000,
      connect: 5_000,
      firstByte: 600_000,
      silence: 600_000,
      lease: 900_000,
    })
    expect(settings.capacity).toEqual({
      maxRunning: Number.POSITIVE_INFINITY,
      maxStarting: 4,
      maxQueued: Number.POSITIVE_INFINITY,
      queueTimeout: 60_000,
      minUptime: 10_000,
    })
    expect(settings.box).toMatchObject({
      image: 'agent:1',
      limits: { memory: 512 * 1024 ** 2, cpus: 1, pids: 256, disk: undefined },
      network: 'none',
      transport: 'auto',
      ready: 'agent',
      stopGraceMs: 10_000,
      readOnlyRoot: true,
      tmp: 64 * 1024 ** 2,
    })
  })

  it('takes an explicit undefined for the default, at every level', () => {
    const given = resolveOptions({
      ...base(),
      idle: { stopAfter: undefined, pauseAfter: undefined },
      capacity: { maxRunning: undefined, maxStarting: undefined },
      timeouts: { wake: undefined, lease: undefined },
      onDrift: undefined,
      lock: undefined,
      box: {
        image: 'agent:1',
        limits: { memory: undefined },
        env: undefined,
        network: undefined,
        ready: undefined,
      },
    })
    const plain = resolveOptions(base())
    expect(given.settings.idle).toEqual(plain.settings.idle)
    expect(given.settings.box).toEqual(plain.settings.box)
    expect(given.settings.capacity).toEqual(plain.settings.capacity)
    expect(given.settings.timeouts).toEqual(plain.settings.timeouts)
    expect(given.onDrift).toBe('next-wake')
  })

  it.each([
    [{ name: 'Bad-Name' }, 'name'],
    [{ driver: {} }, 'driver'],
    [{ dataDir: '' }, 'dataDir'],
    [{ nmae: 'x' }, 'nmae'],
    [{ box: undefined }, 'box'],
    [{ box: { image: '' } }, 'box.image'],
    [{ box: { image: 'a', imgae: 'b' } }, 'box.imgae'],
    [{ box: { image: 'a', limits: { memory: '12 apples' } } }, 'box.limits.memory'],
    [{ box: { image: 'a', limits: { memory: '1k' } } }, 'box.limits.memory'],
    [{ box: { image: 'a', limits: { cpus: Number.NaN } } }, 'box.limits.cpus'],
    [{ box: { image: 'a', limits: { pids: 0 } } }, 'box.limits.pids'],
    [{ box: { image: 'a', command: [] } }, 'box.command'],
    [{ box: { image: 'a', env: { 'A=B': 'c' } } }, 'box.env'],
    [{ box: { image: 'a', secrets: { '../x': 'c' } } }, 'box.secrets'],
    [{ box: { image: 'a', network: 'host' } }, 'box.network'],
    [{ box: { image: 'a', transport: { port: 70_000 } } }, 'box.transport.port'],
    [{ box: { image: 'a', ready: { http: '//other.host/' } } }, 'box.ready.http'],
    [{ box: { image: 'a', ready: 'soon' } }, 'box.ready'],
    [{ box: { image: 'a', user: 'root' } }, 'box.user'],
    [{ box: { image: 'a', mounts: [{ host: '/a/../b', box: '/b' }] } }, 'box.mounts[0].host'],
    [{ box: { image: 'a', stopGrace: '10 s' } }, 'box.stopGrace'],
    [{ idle: { stopAfter: '-1s' } }, 'idle.stopAfter'],
    [{ idle: { stopAfter: Number.NaN } }, 'idle.stopAfter'],
    [{ idle: { pauseAfter: '30m', stopAfter: '5m' } }, 'idle.stopAfter'],
    [{ idle: { stopAfter: '5m', removeAfter: '5m' } }, 'idle.removeAfter'],
    [{ idle: { veto: true } }, 'idle.veto'],
    [{ capacity: { maxRunning: 0 } }, 'capacity.maxRunning'],
    [{ capacity: { maxRunning: Number.NaN } }, 'capacity.maxRunning'],
    [{ capacity: { maxStarting: 1.5 } }, 'capacity.maxStarting'],
    [{ capacity: { maxQueued: -1 } }, 'capacity.maxQueued'],
    [{ timeouts: { wake: 0 } }, 'timeouts.wake'],
    [{ timeouts: { lease: '15 minutes' } }, 'timeouts.lease'],
    [{ onDrift: 'now' }, 'onDrift'],
    [{ strict: 'yes' }, 'strict'],
    [{ perTenant: {} }, 'perTenant'],
  ])('names the option in %j', (change, option) => {
    expect(refusal(change).option).toBe(option)
  })

  it('says what an option must be and what it got', () => {
    expect(refusal({ idle: { stopAfter: 'soon' } }).message).toBe(
      `Option idle.stopAfter must be milliseconds or a duration such as '30m' (ms, s, m, h, d), got "soon".`,
    )
  })

  it('never shows a secret', () => {
    const { message } = refusal({ box: { image: 'a', secrets: { token: 12345 } } })
    expect(message).not.toContain('12345')
  })
})

describe('applyOverrides', () => {
  const settings = resolveSettings({
    ...base(),
    box: { image: 'a', env: { A: '1', B: '2' }, limits: { memory: '1g', cpus: 2 } },
    idle: { stopAfter: '10m' },
  })

  it('merges env, secrets and limits by name, and replaces the rest', () => {
    const { box, idle } = applyOverrides(settings, {
      box: { env: { B: '3' }, limits: { cpus: 4 }, image: 'b' },
      idle: { pauseAfter: '1m', stopAfter: undefined },
    })
    expect(box.env).toEqual({ A: '1', B: '3' })
    expect(box.limits).toMatchObject({ memory: 1024 ** 3, cpus: 4 })
    expect(box.image).toBe('b')
    expect(idle).toMatchObject({ pauseAfter: 60_000, stopAfter: 600_000 })
  })

  it('names what a tenant override got wrong', () => {
    expect(() => applyOverrides(settings, { box: { limits: { pids: -1 } } })).toThrow(
      /perTenant\(\)\.box\.limits\.pids/,
    )
  })
})

describe('changeSettings', () => {
  it('keeps what is left out, and refuses what cannot change', () => {
    const current = {
      box: { image: 'a' },
      idle: { stopAfter: '1m' as const },
      perTenant: undefined,
      capacity: undefined,
      timeouts: undefined,
    }
    expect(changeSettings(current, { box: { image: 'b' } })).toMatchObject({
      box: { image: 'b' },
      idle: { stopAfter: '1m' },
    })
    expect(changeSettings(current, { idle: undefined }).idle).toBeUndefined()
    expect(() => changeSettings(current, { name: 'x' } as object)).toThrow(/name/)
  })
})
