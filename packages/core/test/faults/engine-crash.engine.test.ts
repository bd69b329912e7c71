import { setTimeout as sleep } from 'node:timers/promises'
import { docker } from '@tenantbox/core/docker'
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { isTenantBoxError, type PoolEvents, type TenantPool } from '../../src/index.js'
import { importAgentImage, world } from '../engine/world.js'
import { failure, next } from '../pool/helpers.js'
import { PrivateEngine, whyNoPrivateEngine } from './private-engine.js'

/** Between two messages of one tenant: load is bounded. */
const PAUSE_MS = 20

const image = 'tenantbox-test:agent'
const reason = whyNoPrivateEngine()
if (reason !== undefined) console.warn(`Left out: the tests that kill an engine of their own (${reason}).`)

// Engines take their time to start, and so do a dozen boxes.
vi.setConfig({ testTimeout: 90_000 })

let engine: PrivateEngine

beforeAll(async () => {
  if (reason !== undefined) return
  engine = await PrivateEngine.open()
  await importAgentImage(engine.client, image)
})

afterAll(() => engine?.close())

/** Messages to one tenant, one after the other, until it is ended. */
class Talk {
  /** What the agent has acknowledged. */
  readonly said: string[] = []
  readonly failures: unknown[] = []
  readonly #ending = new AbortController()
  readonly #over: Promise<void>

  constructor(pool: TenantPool, tenant: string) {
    this.#over = this.#run(pool, tenant)
  }

  async #run(pool: TenantPool, tenant: string): Promise<void> {
    for (let i = 0; !this.#ending.signal.aborted; i++) {
      try {
        await pool.send(tenant, `remember ${i}`).text()
        this.said.push(String(i))
      } catch (error) {
        this.failures.push(error)
      }
      await sleep(PAUSE_MS)
    }
  }

  /** Resolves once a message that began after this call was acknowledged. */
  async goesOn(): Promise<void> {
    const { length } = this.said
    await expect.poll(() => this.said.length, { timeout: 20_000 }).toBeGreaterThan(length + 1)
  }

  end(): Promise<void> {
    this.#ending.abort()
    return this.#over
  }
}

/** Each container of the engine: its name, state and when its life began. */
async function lives(): Promise<{ name: string; status: string; since: string }[]> {
  const found = await engine.client.listContainers({ all: true })
  const looks = found.map(({ Id }) => engine.client.getContainer(Id).inspect())
  return (await Promise.all(looks))
    .map(({ Name, State }) => ({ name: Name, status: State.Status, since: State.StartedAt }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}

describe.skipIf(reason !== undefined)('an engine killed under load', () => {
  it.each([
    ['with live-restore: boxes and leases go on', true],
    ['without: boxes die with it, and are started again', false],
  ])('%s', async (_, liveRestore) => {
    await engine.kill()
    await engine.start({ liveRestore })
    const { name, pool } = await world(image, { driver: docker({ socketPath: engine.socketPath }) })
    const told: PoolEvents['engine'][] = []
    pool.on('engine', (event) => told.push(event))
    const tenants = ['a', 'b', 'c', 'd']
    await Promise.all(tenants.map((tenant) => pool.ensure(tenant)))
    await pool.ensure('asleep')
    await pool.ensure('leaving')
    await pool.stop('asleep')
    const lease = await pool.lease('a')
    const talks = tenants.map((tenant) => new Talk(pool, tenant))
    onTestFinished(async () => void (await Promise.all(talks.map((talk) => talk.end()))))
    const before = (await lives()).filter(({ name: box }) =>
      tenants.some((tenant) => box.endsWith(`-${tenant}`)),
    )

    for (let outage = 0; outage < 2; outage++) {
      const down = next(pool, 'engine', ({ state }) => state === 'down')
      await engine.kill()
      await down
      expect(pool.stats()).toMatchObject({ ok: false, engine: 'down' })
      const waiting = [
        pool.stop('leaving'),
        pool.ensure('asleep'),
        pool.ensure(`new${outage}`),
        pool.send('b', 'remember this').text(),
      ]
      await failure(pool.ensure('hasty', { timeout: 200 }), 'TIMEOUT')
      const up = next(pool, 'engine', ({ state }) => state === 'up')
      await engine.start({ liveRestore })
      await up
      expect(pool.stats()).toMatchObject({ ok: true, engine: 'up' })
      await Promise.all(waiting)
      await Promise.all(talks.map((talk) => talk.goesOn()))
      await pool.stop('asleep')
    }

    await Promise.all(talks.map((talk) => talk.end()))
    const after = await lives()
    const running = [...tenants, 'new1', ...(liveRestore ? ['new0'] : [])].map(
      (tenant) => `${tenant} running`,
    )
    const stopped = ['asleep', 'leaving', ...(liveRestore ? [] : ['new0'])].map(
      (tenant) => `${tenant} exited`,
    )
    expect(after.map(({ name: box, status }) => `${box} ${status}`)).toEqual(
      [...running, ...stopped].map((each) => `/tbx-${name}-${each}`).sort(),
    )
    for (const [index, { said }] of talks.entries()) {
      const known = await pool.send(tenants[index] ?? '', 'what do you know?').text()
      expect(known.split('\n')).toEqual(expect.arrayContaining(said))
    }
    expect(told.filter(({ state }) => state === 'up')).toHaveLength(2)
    expect(told.every(({ state, retryIn }) => state === 'up' || (retryIn ?? 0) > 0)).toBe(true)
    if (liveRestore) {
      expect(lease.signal.aborted).toBe(false)
      expect(after).toEqual(expect.arrayContaining(before))
      expect(talks.flatMap(({ failures }) => failures)).toEqual([])
    } else {
      expect(isTenantBoxError(lease.signal.reason, 'STALE_BOX')).toBe(true)
      // Nobody is told a lie: what failed was cut off in the middle.
      for (const error of talks.flatMap(({ failures }) => failures))
        expect(isTenantBoxError(error, 'STALE_BOX', 'AGENT_FAILED')).toBe(true)
    }
  })
})

describe.skipIf(reason !== undefined)('an engine that hangs', () => {
  it('keeps every call within its deadline, and what it does when it goes on is not done twice', async () => {
    const driver = docker({ socketPath: engine.socketPath, callTimeout: '2s' })
    const { name, pool } = await world(image, { driver, box: { image, stopGrace: '1s' } })
    onTestFinished(() => engine.thaw())
    const lease = await pool.lease('a')
    await pool.ensure('b')
    const before = await lives()
    const down = next(pool, 'engine', ({ state }) => state === 'down')
    const up = next(pool, 'engine', ({ state }) => state === 'up')

    await engine.freeze()
    // The first thing it is asked is to make this one; it will, later.
    const making = pool.ensure('new')
    const stopping = pool.stop('b')
    await failure(pool.ensure('hasty', { timeout: 200 }), 'TIMEOUT')
    expect(await (await lease.box.fetch('/healthz')).text()).toBe('{}')
    expect(isTenantBoxError((await down).cause, 'ENGINE_UNAVAILABLE')).toBe(true)
    expect(pool.stats()).toMatchObject({ ok: false, engine: 'down' })
    await engine.thaw()
    await up
    await Promise.all([making, stopping])
    await pool.ensure('hasty')

    expect(lease.signal.aborted).toBe(false)
    const after = await lives()
    expect(after[0]).toEqual(before[0])
    expect(after.map((life) => `${life.name} ${life.status}`)).toEqual([
      `/tbx-${name}-a running`,
      `/tbx-${name}-b exited`,
      `/tbx-${name}-hasty running`,
      `/tbx-${name}-new running`,
    ])
  })
})
