import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { docker } from '@tenantbox/core/docker'
import type Docker from 'dockerode'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type PoolEvents, TenantPool } from '../../src/index.js'
import { engine, useAgentImage, world } from '../engine/world.js'
import { failure, next } from '../pool/helpers.js'

const image = useAgentImage()

/** A container that somebody else starts. */
async function stranger(options: Docker.ContainerCreateOptions): Promise<Docker.Container> {
  const container = await engine.createContainer({ Cmd: ['/bin/sleep', '1000'], ...options })
  onTestFinished(async () => {
    await container.remove({ force: true })
  })
  await container.start()
  return container
}

/** What must not have changed about a container that is not ours. */
async function look(container: Docker.Container) {
  const { Id, Name, State } = await container.inspect()
  return { Id, Name, since: State.StartedAt, running: State.Running, paused: State.Paused }
}

/** An image of this very box, labels and all. */
async function commit(container: Docker.Container): Promise<string> {
  const tag = `tenantbox-test:${randomBytes(6).toString('hex')}`
  const [repo, label] = tag.split(':')
  await container.commit({ repo, tag: label })
  onTestFinished(async () => {
    await engine.getImage(tag).remove({ force: true })
  })
  return tag
}

describe('a container that carries our labels without being ours', () => {
  it('made of a commit of a box: it is not adopted, not stopped, and takes no tenant’s name', async () => {
    const { name, pool, again } = await world(image, { idle: { stopAfter: 1 } })
    await pool.ensure('a')
    const copy = await commit(engine.getContainer(`tbx-${name}-a`))
    const free = await stranger({ Image: copy, name: `copy-${name}` })
    const inPlace = await stranger({ Image: copy, name: `tbx-${name}-b` })
    const before = [await look(free), await look(inPlace)]

    await pool.reap()
    expect((await failure(pool.ensure('b'), 'FOREIGN_BOX')).details.box).toContain(`tbx-${name}-b`)
    await pool.close({ boxes: 'keep' })
    const second = again({ idle: {} })
    expect(await second.start()).toMatchObject({ adopted: 1 })
    expect(await second.send('a', 'remember x').text()).toBe('x\n')
    await failure(second.ensure('b'), 'FOREIGN_BOX')
    await second.remove('b')
    // What happens to them is no news of ours.
    await free.pause()
    await free.unpause()
    await second.close({ boxes: 'remove' })
    expect([await look(free), await look(inPlace)]).toEqual(before)
  })

  it('made of an image with our labels', async () => {
    const { name, pool, again } = await world(image)
    await pool.ensure('a')
    const { Config } = await engine.getContainer(`tbx-${name}-a`).inspect()
    const free = await stranger({ Image: image, Labels: Config.Labels })
    const before = await look(free)
    await pool.remove('a')
    await pool.close()
    const second = again()
    expect(await second.start()).toMatchObject({ adopted: 0 })
    expect(second.get('a')?.state).toBe('absent')
    await second.ensure('a')
    await second.close({ boxes: 'remove' })
    expect(await look(free)).toEqual(before)
  })
})

describe('two pools of one name on one engine, each with a dataDir of its own', () => {
  it('never touch each other', async () => {
    const { name, pool } = await world(image)
    const dataDir = await mkdtemp(join(tmpdir(), 'tenantbox-faults-'))
    const other = new TenantPool({ name, driver: docker(), dataDir, box: { image } })
    onTestFinished(async () => {
      await other.close({ boxes: 'remove', drain: 0 })
      await rm(dataDir, { recursive: true })
    })
    await pool.send('a', 'remember ours').text()
    const before = await look(engine.getContainer(`tbx-${name}-a`))
    expect(await other.start()).toMatchObject({ adopted: 0 })
    await failure(other.ensure('a'), 'FOREIGN_BOX')
    await other.ensure('b')
    await failure(pool.ensure('b'), 'FOREIGN_BOX')
    await other.remove('a')
    await other.close({ boxes: 'remove' })
    expect(await look(engine.getContainer(`tbx-${name}-a`))).toEqual(before)
    expect(await pool.send('a', 'what do you know?').text()).toBe('ours\n')
    await pool.ensure('b')
  })
})

describe('a stranger in the place of our box', () => {
  it('is left alone and reported once to each caller, and the tenant is served again when it is gone', async () => {
    const { name, pool } = await world(image)
    const told: PoolEvents['engine'][] = []
    pool.on('engine', (event) => told.push(event))
    await pool.send('a', 'remember x').text()
    const gone = next(pool, 'transition', ({ to }) => to === 'absent')
    await engine.getContainer(`tbx-${name}-a`).remove({ force: true })
    const thief = await engine.createContainer({
      Image: image,
      name: `tbx-${name}-a`,
      Cmd: ['/bin/sleep', '1000'],
    })
    try {
      await gone
      for (let i = 0; i < 3; i++) await failure(pool.ensure('a'), 'FOREIGN_BOX')
    } finally {
      await thief.remove({ force: true })
    }
    expect(await pool.send('a', 'what do you know?').text()).toBe('x\n')
    // It is no reason to believe the engine lost.
    expect(told).toEqual([])
  })
})
