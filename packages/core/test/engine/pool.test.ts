import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { docker } from '@tenantbox/core/docker'
import { describe, expect, it } from 'vitest'
import { isTenantBoxError, type PoolEvents, type TenantPool } from '../../src/index.js'
import { clientWithHalfStarted } from '../docker/world.js'
import { failure, next } from '../pool/helpers.js'
import { containers, engine, useAgentImage, world } from './world.js'

const image = useAgentImage()

function record<K extends keyof PoolEvents>(pool: TenantPool, kind: K): PoolEvents[K][] {
  const events: PoolEvents[K][] = []
  pool.on(kind, (event) => events.push(event))
  return events
}

describe('a pool on a real engine', () => {
  it('makes one container and one ready event of fifty calls for a new tenant', async () => {
    const { pool, name } = await world(image)
    const ready = record(pool, 'ready')
    await Promise.all(Array.from({ length: 50 }, () => pool.ensure('a')))
    expect(await containers(name)).toEqual([{ name: `/tbx-${name}-a`, state: 'running' }])
    expect(ready).toHaveLength(1)
  })

  it('keeps tenants whose ids begin alike apart, awake, asleep and awake again', async () => {
    const { pool, name } = await world(image)
    const [a, b] = ['12345678-a', '12345678-b']
    await pool.send(a, 'remember apples').text()
    await pool.send(b, 'remember bananas').text()
    expect(await containers(name)).toHaveLength(2)
    await pool.pause(a)
    await pool.stop(b)
    expect((await containers(name)).map(({ state }) => state)).toEqual(['paused', 'exited'])
    expect(await pool.send(a, 'what do you know?').text()).toBe('apples\n')
    expect(await pool.send(b, 'what do you know?').text()).toBe('bananas\n')
    await pool.remove(a)
    expect(await pool.send(a, 'what do you know?').text()).toBe('apples\n')
  })

  it('makes a box anew that was half started when the engine was killed', async () => {
    const { pool, name } = await world(image, { driver: docker({ client: clientWithHalfStarted() }) })
    await pool.ensure('a')
    expect(await containers(name)).toEqual([{ name: `/tbx-${name}-a`, state: 'running' }])
  })

  it('never shows a sleeping box to a hundred fetches that race the reaper', async () => {
    const { pool } = await world(image, { idle: { stopAfter: 1 } })
    for (let round = 0; round < 10; round++) {
      const box = await pool.ensure('a')
      const answers = Array.from({ length: 10 }, () => box.fetch('/healthz'))
      await Promise.all([pool.reap(), pool.reap()])
      for (const answer of await Promise.all(answers)) expect(await answer.text()).toBe('{}')
    }
  })

  it('never puts a use in progress to sleep', async () => {
    const { pool } = await world(image, { idle: { stopAfter: 1 } })
    await pool.use('a', async (box) => {
      for (let i = 0; i < 20; i++) {
        await pool.reap()
        expect((await box.exec(['/bin/sh', '-c', 'echo awake'])).stdout).toBe('awake\n')
      }
    })
    expect(pool.get('a')?.generation).toBe(1)
  })

  it('sees a container that was killed from outside, and brings it back', async () => {
    const { pool, name } = await world(image)
    const box = await pool.ensure('a')
    const seen = next(pool, 'transition', ({ to }) => to === 'stopped')
    const lease = await pool.lease('a')
    await engine.getContainer(`tbx-${name}-a`).kill()
    const { reason, exit } = await seen
    expect([reason, exit?.code, exit?.oom]).toEqual(['exited', 137, false])
    expect(exit?.lastLogs).toEqual(['listening'])
    expect(isTenantBoxError(lease.signal.reason, 'STALE_BOX')).toBe(true)
    await failure(box.fetch('/healthz'), 'STALE_BOX')
    expect((await pool.ensure('a')).generation).toBe(2)
  })

  it('follows a container that was paused, unpaused, stopped and removed from outside', async () => {
    const { pool, name } = await world(image)
    await pool.ensure('a')
    const container = engine.getContainer(`tbx-${name}-a`)
    for (const [act, to] of [
      [() => container.pause(), 'paused'],
      [() => container.unpause(), 'running'],
      [() => container.stop(), 'stopped'],
      [() => container.remove(), 'absent'],
    ] as const) {
      const seen = next(pool, 'transition', (event) => event.to === to)
      await act()
      await seen
    }
    expect(await pool.send('a', 'remember x').text()).toBe('x\n')
  })

  it('lets a box ask the gateway, which knows who asks, without any network', async () => {
    const { pool } = await world(image)
    pool.serve('/llm', async (request, { tenant }) => new Response(`${request.method} from ${tenant}`))
    expect(await (await pool.fetch('a', '/ask')).text()).toBe('POST from a')
    expect(await (await pool.fetch('b', '/ask')).text()).toBe('POST from b')
    const { stdout } = await pool.use('a', (box) => box.exec(['/bin/cat', '/proc/net/dev']))
    expect(stdout.match(/^ *\w+:/gm)?.map((line) => line.trim())).toEqual(['lo:'])
  })

  it('hands secrets over as files, which inspect does not show, and renews them at each start', async () => {
    const { pool, name } = await world(image, { box: { image, secrets: { token: 'first-s3cret' } } })
    expect(await (await pool.fetch('a', '/secret')).text()).toBe('first-s3cret')
    expect(JSON.stringify(await engine.getContainer(`tbx-${name}-a`).inspect())).not.toContain('s3cret')
    pool.update({ box: { image, secrets: { token: 'second-s3cret' } } })
    await pool.stop('a')
    expect(await (await pool.fetch('a', '/secret')).text()).toBe('second-s3cret')
  })

  it('shows a stopped box’s log', async () => {
    const { pool } = await world(image)
    await pool.ensure('a')
    await pool.stop('a')
    const lines: string[] = []
    for await (const { text } of pool.logs('a')) lines.push(text)
    expect(lines).toEqual(['listening'])
  })

  it('is adopted by the next process: running, paused and stopped boxes', async () => {
    const { pool, again } = await world(image)
    await Promise.all(
      ['runs', 'sleeps', 'stopped'].map((tenant) => pool.send(tenant, `remember ${tenant}`).text()),
    )
    await pool.pause('sleeps')
    await pool.stop('stopped')
    await pool.close()
    const second = again()
    expect(await second.start()).toMatchObject({ adopted: 3 })
    expect([...second.list()].map(({ tenant, state }) => `${tenant} ${state}`).sort()).toEqual([
      'runs running',
      'sleeps paused',
      'stopped stopped',
    ])
    for (const tenant of ['runs', 'sleeps', 'stopped'])
      expect(await second.send(tenant, 'what do you know?').text()).toBe(`${tenant}\n`)
  })

  it('rebuilds a drifted box, and brings the old one back when the new one does not come up', async () => {
    const { pool, name } = await world(image)
    await pool.send('a', 'remember x').text()
    await pool.stop('a')
    const before = (await engine.getContainer(`tbx-${name}-a`).inspect()).Id
    pool.update({ box: { image, env: { AGENT_MODE: 'exits' } } })
    const warned = next(pool, 'warning', ({ code }) => code === 'REBUILD_FAILED')
    expect(await pool.send('a', 'what do you know?').text()).toBe('x\n')
    await warned
    expect((await engine.getContainer(`tbx-${name}-a`).inspect()).Id).toBe(before)
    pool.update({ box: { image, env: { AGENT_MODE: 'good' } } })
    expect(await pool.refresh('a')).toBe(true)
    expect((await engine.getContainer(`tbx-${name}-a`).inspect()).Id).not.toBe(before)
    expect(await containers(name)).toHaveLength(1)
  })
})

describe('boxes that misbehave', () => {
  it('exit at once: their code and last words are in the error, and they are not tried for ever', async () => {
    const { pool, name } = await world(image, { box: { image, env: { AGENT_MODE: 'exits' } } })
    const { details } = await failure(pool.ensure('a'), 'START_FAILED')
    expect(details).toMatchObject({ phase: 'ready', code: 7, oom: false })
    expect(details.lastLogs).toEqual(['no model here'])
    for (let i = 0; i < 2; i++) await failure(pool.ensure('a'), 'START_FAILED')
    expect((await failure(pool.ensure('a'), 'CRASH_LOOP')).details).toMatchObject({ attempts: 3, code: 7 })
    expect((await containers(name)).map(({ state }) => state)).toEqual(['exited'])
  })

  it('eat more than their memory', async () => {
    const { pool } = await world(image, {
      box: { image, env: { AGENT_MODE: 'hungry' }, limits: { memory: '64m' } },
    })
    const { details, message } = await failure(pool.ensure('a'), 'START_FAILED')
    expect(details).toMatchObject({ oom: true })
    expect(message).toContain('box.limits.memory')
  })

  it('never listen: stopped at the wake timeout', async () => {
    const { pool, name } = await world(image, {
      box: { image, env: { AGENT_MODE: 'silent' } },
      timeouts: { wake: '2s' },
    })
    expect((await failure(pool.ensure('a'), 'START_FAILED')).details).toMatchObject({ phase: 'ready' })
    expect((await containers(name)).map(({ state }) => state)).toEqual(['exited'])
  })

  it('ignore SIGTERM: ended by force after the grace', async () => {
    const { pool, name } = await world(image, {
      box: { image, env: { AGENT_MODE: 'stubborn' }, stopGrace: '1s' },
    })
    await pool.ensure('a')
    await pool.stop('a')
    expect((await engine.getContainer(`tbx-${name}-a`).inspect()).State).toMatchObject({
      Running: false,
      ExitCode: 137,
    })
  })

  it.each([
    ['an unknown image', { image: 'tenantbox-test/nothing:1' }, 'pull'],
    ['a missing command', { image, command: ['/bin/nothing'] }, undefined],
  ] as const)('cannot start: %s', async (_, box, phase) => {
    const { pool } = await world(image, { box })
    const { details } = await failure(pool.ensure('a'), 'START_FAILED')
    if (phase) expect(details.phase).toBe(phase)
    expect(pool.get('a')).toMatchObject({ leases: 0 })
  })

  it('are told from strangers with their name and labels', async () => {
    const { pool, name } = await world(image)
    await pool.start()
    const stranger = await engine.createContainer({
      Image: image,
      name: `tbx-${name}-a`,
      Labels: { 'dev.tenantbox.tenant': 'a', 'dev.tenantbox.owner': 'somebody else' },
    })
    try {
      const { details } = await failure(pool.ensure('a'), 'FOREIGN_BOX')
      expect(details.box).toContain(`tbx-${name}-a`)
      expect((await stranger.inspect()).State.Status).toBe('created')
    } finally {
      await stranger.remove()
    }
  })
})

describe('long paths', () => {
  it('do not keep a box from its sockets', async () => {
    const { pool, dataDir } = await world(image)
    const deep = join(dataDir, 'x'.repeat(100), 'y'.repeat(60))
    await pool.close()
    const { TenantPool: Pool } = await import('../../src/index.js')
    const { docker } = await import('@tenantbox/core/docker')
    const far = new Pool({ name: `far${Date.now() % 1e6}`, driver: docker(), dataDir: deep, box: { image } })
    far.serve('/llm', (_, { tenant }) => new Response(tenant))
    expect(await (await far.fetch('tenant-with-a-name', '/ask')).text()).toBe('tenant-with-a-name')
    const { workspaceDir } = await far.ensure('tenant-with-a-name')
    await writeFile(join(workspaceDir, 'notes'), 'from the gateway\n')
    expect(await far.send('tenant-with-a-name', 'what do you know?').text()).toBe('from the gateway\n')
    await far.close({ boxes: 'remove' })
  })
})
