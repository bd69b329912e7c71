import { setImmediate } from 'node:timers/promises'
import { describe, expect, it, vi } from 'vitest'
import { orAbort } from '../../src/abort.js'
import type { Driver } from '../../src/driver.js'
import type { BoxSpec, PoolOptions, TenantPool } from '../../src/index.js'
import type { DriverOperation, MemoryImage } from '../../src/testing/index.js'
import { of, type Setup, setup } from './helpers.js'

// Each makes and kills dozens of gateways.
vi.setConfig({ testTimeout: 120_000 })

/** Where a gateway is killed in a rebuild. */
interface Step {
  /** `broken`: the new box exits at once, so that the old one comes back. */
  readonly to: 'new' | 'broken'
  readonly call: DriverOperation
  /** `before` a call the engine is as it was after the one before. */
  readonly at: 'during' | 'after'
  /** Which of these calls in the rebuild. */
  readonly nth: number
}

function steps(to: Step['to'], calls: readonly DriverOperation[], nth = 1): [about: string, step: Step][] {
  return calls.flatMap((call) =>
    (['during', 'after'] as const).map((at): [string, Step] => [
      `${at} ${call}${nth > 1 ? ` no. ${nth}` : ''} of one to a ${to} release`,
      { to, call, at, nth },
    ]),
  )
}

const STEPS = [
  ...steps('new', ['setAside', 'stop', 'create', 'start', 'dial', 'remove']),
  ...steps('broken', ['remove', 'find', 'restore']),
  ...steps('broken', ['start', 'dial'], 2),
]

/** Those that leave something else behind at the engine than the step before. */
const CHANGES = STEPS.filter(([, { call, at }]) => at === 'after' && call !== 'find' && call !== 'dial')

/** What the next gateway may be killed in: it ends that rebuild, and begins one of its own. */
const NEXT = steps('new', ['remove', 'restore', 'setAside', 'stop', 'create', 'start', 'dial'])

const image: MemoryImage = {
  agent: (_, { env }) => new Response(env.RELEASE),
  main: ({ env, signal }) =>
    env.RELEASE === 'broken'
      ? 7
      : new Promise((resolve) => signal.addEventListener('abort', () => resolve(143), { once: true })),
}

const release = (name: string): BoxSpec => ({ image: 'agent:1', env: { RELEASE: name } })

/** A gateway in a process of its own, as far as the engine can tell. */
interface Gateway {
  readonly pool: TenantPool
  /** Nothing that it calls reaches the engine any more, or is answered. */
  kill(): Promise<void>
}

function gateway({ again, engine }: Setup, options: Partial<PoolOptions>): Gateway {
  const death = new AbortController()
  const driver: Driver = new Proxy(engine.driver(), {
    get(target, member) {
      const value: unknown = Reflect.get(target, member, target)
      if (typeof value !== 'function') return value
      if (member === 'close') return value.bind(target)
      return (...args: unknown[]): unknown => {
        death.signal.throwIfAborted()
        const result: unknown = value.apply(target, args)
        return result instanceof Promise ? orAbort(result, death.signal) : result
      }
    },
  })
  const pool = again({ ...options, driver })
  const kill = async (): Promise<void> => {
    death.abort(new Error('this process is dead'))
    await pool.close({ drain: 0 })
  }
  return { pool, kill }
}

/**
 * Wakes the tenant, and kills the gateway at this step; with the box awake if it never gets there, which is false. What it
 * was in the middle of, the engine does before the `late`th call about the tenant that comes next.
 */
async function killAt(
  { engine, events }: Setup,
  { pool, kill }: Gateway,
  { call, at, nth }: Step,
  late = 1,
): Promise<boolean> {
  let calls = 0
  const hold = engine.faults.hold(call, { at, when: () => ++calls === nth })
  const waking = pool.ensure('a').then(
    () => false,
    () => false,
  )
  const reached = await Promise.race([hold.reached.then(() => true), waking])
  await kill()
  engine.faults.clear()
  events.length = 0
  if (at === 'after') return reached
  let left = late
  const stop = engine.faults.intercept(async ({ slug }, moment) => {
    if (slug !== 'a' || moment !== 'before' || --left > 0) return
    stop()
    hold.release()
    await setImmediate()
  })
  return reached
}

/** What a gateway leaves behind that was killed at this step. */
async function killedAt(step: Step, late?: number): Promise<Setup> {
  const world = await setup({ box: release('old') }, { images: { 'agent:1': image } })
  const first = gateway(world, {})
  await first.pool.ensure('a')
  await first.pool.stop('a')
  first.pool.update({ box: release(step.to) })
  expect(await killAt(world, first, step, late)).toBe(true)
  return world
}

/** That the tenant has one box, which is of this release as soon as drift may be mended. */
async function expectNewest({ engine, events }: Setup, pool: TenantPool, about: string): Promise<void> {
  await pool.refresh('a')
  expect(await (await pool.fetch('a', '/')).text(), about).toBe('newest')
  const boxes = engine.boxes.map((box) => [box.name, box.state])
  expect(boxes, about).toEqual([['tbx-test-a', 'running']])
  expect(engine.maxLive('a'), about).toBe(1)
  expect(
    of(events, 'warning').map(({ code }) => code),
    about,
  ).toEqual([])
}

/** When, of its start, `pool.update` tells a gateway of the newest release. */
type Told = 'before' | 'while' | 'once'

/** The next gateway, which has heard of the newest release by the time that it has started. */
async function startNext(world: Setup, options: Partial<PoolOptions>, told?: Told): Promise<TenantPool> {
  const { pool } = gateway(world, options)
  const tell = (): void => pool.update({ box: release('newest') })
  if (told === 'before') tell()
  const listed = world.engine.faults.hold('list', { at: 'after' })
  const started = pool.start()
  await listed.reached
  if (told === 'while') tell()
  listed.release()
  await started
  if (told === 'once') tell()
  return pool
}

describe('a gateway killed in a rebuild', () => {
  it.each<[about: string, options: Partial<PoolOptions>, told?: Told]>([
    ['it is made with', { box: release('newest') }],
    ['it is told of before it starts', { box: release('new') }, 'before'],
    ['it is told of while it starts', { box: release('new') }, 'while'],
    ['it is told of once it has started', { box: release('new') }, 'once'],
    ['perTenant gives it', { perTenant: () => ({ box: { env: { RELEASE: 'newest' } } }) }],
    ['it is to keep boxes from until they are refreshed', { box: release('newest'), onDrift: 'keep' }],
  ])('is followed by one with another release, which %s', async (_, options, told) => {
    for (const [about, step] of STEPS) {
      const world = await killedAt(step)
      await expectNewest(world, await startNext(world, options, told), about)
    }
  })

  it.each(CHANGES)('%s, is followed by one that is killed, too', async (_, step) => {
    for (const [about, next] of NEXT) {
      const world = await killedAt(step)
      await killAt(world, gateway(world, { box: release('newer') }), next)
      await expectNewest(world, await startNext(world, { box: release('newest') }), about)
    }
  })

  it.each([1, 2, 3])('leaves a box that the engine makes only before call %i of the next', async (late) => {
    const world = await killedAt({ to: 'new', call: 'create', at: 'during', nth: 1 }, late)
    await expectNewest(world, await startNext(world, { box: release('newest') }), `call ${late}`)
  })
})
