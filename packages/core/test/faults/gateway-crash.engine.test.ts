import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import type { Driver } from '../../src/driver.js'
import type { TenantPool } from '../../src/index.js'
import { containers, useAgentImage, world } from '../engine/world.js'
import type { Act, Errand, Halt } from './errands.js'
import { useGateway } from './gateway-process.js'
import { watchLives } from './lives.js'
import { RELEASES } from './releases.js'

// Dozens of boxes are made and started by some of these.
vi.setConfig({ testTimeout: 120_000 })

const image = useAgentImage()
const gateway = useGateway()

/** One errand for each moment of a call, its tenant named after it. */
function around(
  call: keyof Driver,
  acts: readonly Act[],
  moments: readonly Halt['at'][] = ['before', 'during', 'after'],
): Errand[] {
  return moments.map((at) => ({ tenant: `${at}-${call.toLowerCase()}`, acts, halt: { call, at } }))
}

/** Where the engine and the pool do not agree: empty when every box was adopted or undone. */
async function differences(pool: TenantPool, name: string): Promise<string[]> {
  const agreeing: Record<string, readonly string[]> = {
    // One that the engine was still making when it was listed is met at its next wake.
    created: ['stopped', 'absent'],
    exited: ['stopped'],
    running: ['running'],
    paused: ['paused'],
  }
  const found = new Map((await containers(name)).map((each) => [each.name, each.state]))
  const known = [...pool.list()].flatMap(({ slug, state }) => {
    const box = `/tbx-${name}-${slug}`
    const at = found.get(box)
    found.delete(box)
    const agrees = at === undefined ? state === 'absent' : agreeing[at]?.includes(state)
    return agrees ? [] : [`${box}: ${at} at the engine, ${state} to the pool`]
  })
  return [...known, ...[...found.keys()].map((box) => `${box}: unknown to the pool`)]
}

const rebuilding = ['send', 'stop', 'renew', 'send'] as const
const failing = ['send', 'stop', 'break', 'send'] as const
const inRebuild = [
  ...around('setAside', rebuilding),
  ...around('stop', rebuilding),
  ...around('create', rebuilding),
  ...around('start', rebuilding),
  ...around('dial', rebuilding, ['before']),
  ...around('remove', rebuilding),
]
const inUndoing = [...around('remove', failing), ...around('restore', failing)]

/** Warnings of Node itself, such as of a listener leak. */
function nodeWarnings(): string[] {
  const warnings: string[] = []
  const heard = ({ name, message }: Error): void => void warnings.push(`${name}: ${message}`)
  process.on('warning', heard)
  onTestFinished(() => void process.off('warning', heard))
  return warnings
}

describe('a gateway killed in the middle', () => {
  it.each([
    ['of making a box', around('create', ['send'])],
    ['of starting one', [...around('start', ['send']), ...around('dial', ['send'], ['before'])]],
    ['of pausing one', around('pause', ['send', 'pause'])],
    ['of resuming one', around('resume', ['send', 'pause', 'send'])],
    ['of stopping one', around('stop', ['send', 'stop'])],
    ['of removing one', around('remove', ['send', 'remove'])],
    ['of rebuilding one', inRebuild],
    ['of undoing that', inUndoing],
  ])('%s leaves no box behind and none twice, and the next one goes on', async (_, errands) => {
    const release = new Map(
      errands.map(
        ({ tenant, acts }) =>
          [tenant, acts.includes('renew') ? 'new' : acts.includes('break') ? 'broken' : 'old'] as const,
      ),
    )
    const { name, dataDir, pool } = await world(image, {
      perTenant: (tenant) => ({ box: { env: RELEASES[release.get(tenant) ?? 'old'] } }),
    })
    const warnings: string[] = nodeWarnings()
    pool.on('warning', ({ code }) => warnings.push(code))
    const lives = await watchLives(name)
    const before = await gateway({ name, dataDir, image, errands })
    await before.kill()

    await pool.start()
    await expect.poll(() => differences(pool, name), { timeout: 10_000 }).toEqual([])

    await Promise.all(
      errands.map(async ({ tenant }) => {
        const known = [...before.said(tenant), 'this', ''].join('\n')
        expect(await pool.send(tenant, 'remember this').text(), tenant).toBe(known)
        const { stdout } = await pool.use(tenant, (box) => box.exec(['/bin/sh', '-c', 'echo $RELEASE']))
        expect(stdout, tenant).toBe(release.get(tenant) === 'new' ? '2\n' : '1\n')
      }),
    )
    const running = errands.map(({ tenant }) => `/tbx-${name}-${tenant}`).sort()
    expect(await containers(name)).toEqual(running.map((box) => ({ name: box, state: 'running' })))
    await expect.poll(() => lives.now()).toEqual(running)
    expect(lives.most()).toBe(1)
    expect(warnings.filter((code) => code !== 'REBUILD_FAILED')).toEqual([])
  })

  it.each([
    ['of rebuilding a box', inRebuild],
    ['of undoing that', inUndoing],
  ])('%s is followed by one with yet another release, of which there is then one box', async (_, errands) => {
    const { name, dataDir, pool } = await world(image, { box: { image, env: RELEASES.new } })
    const warnings: string[] = []
    pool.on('warning', ({ code }) => warnings.push(code))
    const lives = await watchLives(name)
    const before = await gateway({ name, dataDir, image, errands })
    await before.kill()

    await pool.start()
    pool.update({ box: { image, env: RELEASES.newest } })
    await Promise.all(
      errands.map(async ({ tenant }) => {
        let release = ''
        // One that runs, which the engine may have come to start only now, is rebuilt when it is told to.
        while (release !== '3') {
          await pool.refresh(tenant)
          const { stdout } = await pool.use(tenant, (box) => box.exec(['/bin/sh', '-c', 'echo $RELEASE']))
          release = stdout.trim()
        }
        expect(await pool.send(tenant, 'what do you know?').text()).toBe(
          [...before.said(tenant), ''].join('\n'),
        )
      }),
    )
    const running = errands.map(({ tenant }) => `/tbx-${name}-${tenant}`).sort()
    expect(await containers(name)).toEqual(running.map((box) => ({ name: box, state: 'running' })))
    expect(lives.most()).toBe(1)
    expect(warnings).toEqual([])
  })

  it('of traffic, again and again, loses nothing that an agent has acknowledged', async () => {
    const { name, dataDir, pool } = await world(image)
    const lives = await watchLives(name)
    const acts = ['send', 'pause', 'send', 'stop', 'renew', 'send', 'remove', 'stop'] as const
    // Each tenant is at another act at any time.
    const errands = ['a', 'b', 'c', 'd'].map((tenant, place) => ({
      tenant,
      acts: [...acts.slice(2 * place), ...acts.slice(0, 2 * place)],
      rounds: 1,
    }))
    const said = new Map(errands.map(({ tenant }) => [tenant, [] as string[]]))
    for (let crash = 0; crash < 3; crash++) {
      const before = await gateway({ name, dataDir, image, errands })
      await before.kill()
      for (const [tenant, notes] of said) notes.push(...before.said(tenant))
    }
    await pool.start()
    await expect.poll(() => differences(pool, name), { timeout: 10_000 }).toEqual([])
    for (const [tenant, notes] of said) {
      const known = (await pool.send(tenant, 'what do you know?').text()).split('\n')
      expect(known).toEqual(expect.arrayContaining(notes))
    }
    expect(await containers(name)).toEqual(
      errands.map(({ tenant }) => ({ name: `/tbx-${name}-${tenant}`, state: 'running' })),
    )
    expect(lives.most()).toBe(1)
  })

  it('of activity leaves its time behind, at most five seconds old', async () => {
    const { name, dataDir, pool } = await world(image)
    const errands = [
      { tenant: 'leased', acts: ['hold'] },
      { tenant: 'touched', acts: ['send', 'touch'] },
      { tenant: 'idle', acts: ['send'] },
    ] as const
    const began = Date.now()
    const before = await gateway({ name, dataDir, image, errands })
    const idleSince = Date.now()
    const written = async (tenant: string) => (await stat(join(dataDir, tenant, 'tenant.json'))).mtimeMs
    // Long enough for what was written first to be too old.
    await expect.poll(() => written('leased'), { timeout: 15_000 }).toBeGreaterThan(began + 6_000)
    const killed = await before.kill()
    await pool.start()
    const lateness = (tenant: string, truth: number) => truth - (pool.get(tenant)?.lastActivity ?? 0)
    for (const [tenant, truth] of [
      ['leased', killed],
      ['touched', killed],
      ['idle', idleSince],
    ] as const) {
      expect(lateness(tenant, truth), tenant).toBeLessThanOrEqual(5_000)
      // Whatever is read of a clock has lost a part of its millisecond.
      expect(lateness(tenant, truth), tenant).toBeGreaterThan(-2)
    }
    const { lastActivity = 0, dueAt } = pool.get('idle') ?? {}
    expect(dueAt).toBeCloseTo(lastActivity + 30 * 60_000, -2)
  })
})
