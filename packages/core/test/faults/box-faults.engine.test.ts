import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { isTenantBoxError, type Lease } from '../../src/index.js'
import { containers, engine, useAgentImage, world } from '../engine/world.js'
import { failure, next } from '../pool/helpers.js'

const image = useAgentImage()

/** Why a lease ended, once it has. */
async function endOf({ signal }: Lease) {
  await expect.poll(() => signal.aborted, { timeout: 5_000 }).toBe(true)
  const { reason } = signal
  if (isTenantBoxError(reason, 'STALE_BOX')) return reason.details
  throw reason
}

/** A pool with a leased box, and the container behind it. */
async function leased(options: Parameters<typeof world>[1] = {}) {
  const { name, ...rest } = await world(image, options)
  const lease = await rest.pool.lease('a')
  return { name, ...rest, lease, container: engine.getContainer(`tbx-${name}-a`) }
}

describe('a leased box that dies tells its holders how', () => {
  it('killed from outside', async () => {
    const { lease, container, pool } = await leased()
    const ended = next(pool, 'lease')
    await container.kill()
    expect(await endOf(lease)).toMatchObject({ reason: 'exited', exit: { code: 137, oom: false } })
    expect(await ended).toMatchObject({ tenant: 'a', outcome: 'died' })
    await failure(lease.box.fetch('/healthz'), 'STALE_BOX')
  })

  it('by itself, in the middle of a use', async () => {
    const { pool } = await world(image)
    const using = pool.use('a', async (box, signal) => {
      // Cut off: the process has ended.
      await box.fetch('/exit', { method: 'POST' }).catch(() => undefined)
      await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    })
    const { details } = await failure(using, 'STALE_BOX')
    expect(details).toMatchObject({ reason: 'exited', exit: { code: 3, oom: false } })
    expect(details.exit?.lastLogs).toEqual(['listening', 'enough\\u0007'])
    expect(JSON.stringify(details)).not.toContain('enough')
  })

  it('for want of memory', async () => {
    const { pool, lease, container } = await leased({ box: { image, limits: { memory: '64m' } } })
    const stopped = next(pool, 'transition', ({ to }) => to === 'stopped')
    await lease.box.fetch('/eat', { method: 'POST' }).catch(() => undefined)
    const { reason, exit } = await endOf(lease)
    expect([reason, exit?.code, exit?.oom]).toEqual(['oom', 137, true])
    expect(exit?.lastLogs).toEqual(['listening'])
    expect(await stopped).toMatchObject({ from: 'running', reason: 'oom', exit: { oom: true } })
    expect((await container.inspect()).State).toMatchObject({ OOMKilled: true, Running: false })
    expect((await pool.ensure('a')).generation).toBe(2)
  })

  it('removed from outside', async () => {
    const { pool, lease, container, name } = await leased()
    await pool.send('a', 'remember apples').text()
    await container.remove({ force: true })
    expect((await endOf(lease)).reason).toBe('exited')
    expect(await pool.send('a', 'what do you know?').text()).toBe('apples\n')
    expect(await containers(name)).toEqual([{ name: `/tbx-${name}-a`, state: 'running' }])
  })

  it('renamed from outside, which makes it a stranger that nobody touches', async () => {
    const { pool, lease, container, name } = await leased()
    const { Id } = await container.inspect()
    const stranger = engine.getContainer(Id)
    try {
      await stranger.rename({ name: `mine-${name}` })
      expect((await endOf(lease)).reason).toBe('exited')
      expect(await pool.send('a', 'remember apples').text()).toBe('apples\n')
      expect(await containers(name)).toEqual([
        { name: `/mine-${name}`, state: 'running' },
        { name: `/tbx-${name}-a`, state: 'running' },
      ])
      await pool.remove('a')
      expect((await stranger.inspect()).State.Running).toBe(true)
    } finally {
      await stranger.remove({ force: true })
    }
  })
})

describe('a leased box that is paused from outside', () => {
  it('is resumed by the next operation, and its lease goes on', async () => {
    const { pool, lease, container } = await leased()
    const paused = next(pool, 'transition', ({ to }) => to === 'paused')
    await container.pause()
    expect((await paused).reason).toBe('outside')
    expect(await (await lease.box.fetch('/healthz')).text()).toBe('{}')
    expect((await container.inspect()).State).toMatchObject({ Running: true, Paused: false })
    expect(lease.signal.aborted).toBe(false)
    expect(pool.get('a')).toMatchObject({ state: 'running', generation: 1 })
  })

  it('goes on in the same life when somebody unpauses it', async () => {
    const { pool, lease, container } = await leased()
    for (const [act, to] of [
      [() => container.pause(), 'paused'],
      [() => container.unpause(), 'running'],
    ] as const) {
      const seen = next(pool, 'transition', (event) => event.to === to)
      await act()
      expect((await seen).reason).toBe('outside')
    }
    expect(lease.signal.aborted).toBe(false)
    expect(await lease.box.send('remember x').text()).toBe('x\n')
    expect(pool.get('a')?.generation).toBe(1)
  })
})

describe('a box that comes up while its folders are made ready for a start', () => {
  it('by a call whose answer was lost, or by somebody, begins anew on folders that are', async () => {
    let meddle: (() => Promise<void>) | undefined
    const { pool, name, dataDir } = await world(image, {
      timeouts: { wake: '15s' },
      perTenant: async () => {
        await meddle?.()
        return {}
      },
    })
    const socket = join(dataDir, 'a', 'run', 'agent.sock')
    await pool.ensure('a')
    await pool.stop('a')
    await rm(socket, { force: true })
    meddle = async () => {
      meddle = undefined
      await engine.getContainer(`tbx-${name}-a`).start()
      await expect.poll(() => existsSync(socket), { timeout: 10_000 }).toBe(true)
    }
    expect(await pool.send('a', 'remember x').text()).toBe('x\n')
    expect(pool.get('a')).toMatchObject({ state: 'running' })
  })
})

describe('an agent that hangs', () => {
  /** Stops every process of the box but its init: the kernel goes on taking connections, and nobody answers. */
  const HANG = ['/bin/sh', '-c', 'kill -STOP -1']

  it('is unhealthy after three missed deadlines: stopped, and started again by whoever comes next', async () => {
    const { pool, lease, container } = await leased({
      timeouts: { firstByte: '300ms' },
      box: { image, stopGrace: '1s' },
    })
    await lease.box.exec(HANG)
    const stopping = next(pool, 'transition', ({ to }) => to === 'stopping')
    const stopped = next(pool, 'transition', ({ to }) => to === 'stopped')
    for (let missed = 0; missed < 3; missed++) await failure(lease.box.fetch('/healthz'), 'TIMEOUT')
    expect((await stopping).reason).toBe('unhealthy')
    expect((await endOf(lease)).reason).toBe('unhealthy')
    await stopped
    expect((await container.inspect()).State).toMatchObject({ Running: false, ExitCode: 137 })
    expect(await pool.send('a', 'remember x').text()).toBe('x\n')
  })

  it('is found out by the next gateway, which starts it again', async () => {
    const { pool, lease, container, again } = await leased({
      timeouts: { connect: '500ms' },
      box: { image, stopGrace: '1s' },
    })
    await lease.box.exec(HANG)
    await pool.close({ drain: 0 })
    const second = again()
    expect(await second.start()).toMatchObject({ adopted: 1 })
    expect(second.get('a')?.state).toBe('running')
    const { StartedAt } = (await container.inspect()).State
    expect(await second.send('a', 'remember x').text()).toBe('x\n')
    expect((await container.inspect()).State.StartedAt).not.toBe(StartedAt)
  })
})
