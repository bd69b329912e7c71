import { chmod, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { isTenantBoxError } from '../../src/errors.js'
import { asideName, boxName, LABELS, slugOf } from '../../src/identity.js'
import { clientAfterTheEnd, engine, failure, makeWorld, specOf, useToolImage } from './world.js'

const image = useToolImage()

describe('the life of a box', () => {
  it('is made, started, paused, resumed, stopped and removed, and told of truly each time', async () => {
    const { driver, box } = await makeWorld()
    const ref = await box('Ann', specOf(image))
    expect(ref.slug).toBe(slugOf('Ann'))
    expect(await driver.inspect(ref)).toMatchObject({
      ref,
      state: 'stopped',
      startedAt: 0,
      spec: 'spec-1',
      aside: false,
    })

    const before = Date.now()
    const { startedAt } = await driver.start(ref)
    expect(startedAt).toBeGreaterThanOrEqual(before - 1000)
    expect(await driver.inspect(ref)).toMatchObject({ state: 'running', startedAt })
    await driver.pause(ref)
    expect(await driver.inspect(ref)).toMatchObject({ state: 'paused', startedAt })
    await driver.resume(ref)
    await driver.stop(ref, { graceMs: 5_000 })
    expect(await driver.inspect(ref)).toMatchObject({
      state: 'stopped',
      startedAt,
      exit: { code: 143, oom: false },
    })

    const again = await driver.start(ref)
    expect(again.startedAt).toBeGreaterThan(startedAt)
    await driver.remove(ref)
    expect(await driver.inspect(ref)).toBeUndefined()
    expect(await driver.find(ref.slug)).toBeUndefined()
  })

  it('does each thing twice as well as once', async () => {
    const { driver, box } = await makeWorld()
    const ref = await box('ann', specOf(image))
    const first = await driver.start(ref)
    expect(await driver.start(ref)).toEqual({ ...first, already: true })
    await driver.resume(ref)
    await driver.pause(ref)
    await driver.pause(ref)
    await driver.resume(ref)
    await driver.resume(ref)
    await driver.setAside(ref)
    await driver.setAside(ref)
    await driver.restore(ref)
    await driver.restore(ref)
    await driver.stop(ref, { graceMs: 1_000 })
    await driver.stop(ref, { graceMs: 1_000 })
    await Promise.all([driver.remove(ref), driver.remove(ref), driver.remove(ref)])
    await driver.remove(ref)
    await driver.stop(ref, { graceMs: 1_000 })
  })

  it('starts a paused box by resuming it, and stops a paused one', async () => {
    const { driver, box } = await makeWorld()
    const ref = await box('ann', specOf(image))
    const { startedAt } = await driver.start(ref)
    await driver.pause(ref)
    expect(await driver.start(ref)).toEqual({ startedAt, already: true })
    await driver.pause(ref)
    await driver.stop(ref, { graceMs: 2_000 })
    expect(await driver.inspect(ref)).toMatchObject({ state: 'stopped' })
  })

  it('ends an agent without a SIGTERM handler at once, by init, and one that ignores it after the grace', async () => {
    const { driver, box } = await makeWorld()
    const polite = await box('polite', specOf(image))
    await driver.start(polite)
    const began = performance.now()
    await driver.stop(polite, { graceMs: 20_000 })
    expect(performance.now() - began).toBeLessThan(5_000)

    const stubborn = await box(
      'stubborn',
      specOf(image, { command: ['/bin/sh', '-c', 'trap "" TERM; echo up; while :; do sleep 1; done'] }),
    )
    await driver.start(stubborn)
    for await (const line of driver.logs(stubborn, { follow: true })) if (line.text === 'up') break
    await driver.stop(stubborn, { graceMs: 1_000 })
    expect(await driver.inspect(stubborn)).toMatchObject({ state: 'stopped', exit: { code: 137 } })
  })

  it('makes one box, however many ask for it, and lists it once', async () => {
    const { driver, folders, pool } = await makeWorld()
    await folders('ann')
    const make = () => driver.create({ tenant: 'ann', slug: 'ann', spec: 's' }, specOf(image))
    const refs = await Promise.all(Array.from({ length: 5 }, make))
    expect(new Set(refs.map(({ id }) => id)).size).toBe(1)
    const listed = await driver.list()
    expect(listed.map(({ ref }) => ref.tenant)).toEqual(['ann'])
    const [container] = await engine.listContainers({
      all: true,
      filters: { label: [`${LABELS.pool}=${pool.name}`] },
    })
    expect(container?.Names).toEqual([`/${boxName(pool.name, 'ann')}`])
  })

  it('refuses to make a second box of another spec', async () => {
    const { driver, box, folders } = await makeWorld()
    await box('ann', specOf(image))
    await folders('ann')
    const error = await failure(driver.create({ tenant: 'ann', slug: 'ann', spec: 'spec-2' }, specOf(image)))
    expect(isTenantBoxError(error, 'START_FAILED') && error.details.phase).toBe('create')
  })

  it('sets a box aside, lets a successor be made and started, and gives the name back', async () => {
    const { driver, box, pool } = await makeWorld()
    const old = await box('ann', specOf(image))
    await driver.setAside(old)
    expect(await driver.find('ann')).toBeUndefined()
    const fresh = await box('ann', specOf(image))
    expect(fresh.id).not.toBe(old.id)
    const aside = (await driver.list()).filter((record) => record.aside)
    expect(aside.map(({ ref }) => ref)).toEqual([old])
    expect((await engine.getContainer(old.id).inspect()).Name).toBe(`/${asideName(pool.name, 'ann')}`)
    expect(isTenantBoxError(await failure(driver.restore(old)), 'START_FAILED')).toBe(true)
    await driver.remove(fresh)
    await driver.restore(old)
    expect((await driver.find('ann'))?.ref).toEqual(old)
  })

  it('says that a box is gone, where that is no success', async () => {
    const { driver, box } = await makeWorld()
    const ref = await box('ann', specOf(image))
    await engine.getContainer(ref.id).remove({ force: true })
    for (const act of [
      () => driver.start(ref),
      () => driver.pause(ref),
      () => driver.resume(ref),
      () => driver.setAside(ref),
      () => driver.restore(ref),
      () => driver.spawn(ref, { command: ['id'] }),
      () => driver.stats(ref),
      () => driver.dial(ref, { port: 80 }),
    ]) {
      const error = await failure(act())
      expect(isTenantBoxError(error, 'START_FAILED'), String(act)).toBe(true)
      expect(isTenantBoxError(error) && error.tenant).toBe('ann')
    }
  })
})

describe('a box that is not ours', () => {
  it('is never touched when only its labels say so', async () => {
    const { driver, pool, box } = await makeWorld()
    const ref = await box('ann', specOf(image))
    const { Config } = await engine.getContainer(ref.id).inspect()
    const imitation = await engine.createContainer({
      name: `imitation-${pool.name}`,
      Image: image,
      Cmd: ['-'],
      Labels: Config.Labels,
    })
    try {
      expect((await driver.list()).map((record) => record.ref.id)).toEqual([ref.id])
      expect(await driver.inspect({ ...ref, id: imitation.id })).toBeUndefined()
    } finally {
      await imitation.remove({ force: true })
    }
  })

  it('blocks its tenant with FOREIGN_BOX when it has the name', async () => {
    const { driver, pool, box } = await makeWorld()
    const name = boxName(pool.name, 'ann')
    const stranger = await engine.createContainer({
      name,
      Image: image,
      Cmd: ['-'],
      Labels: { [LABELS.pool]: pool.name, [LABELS.tenant]: 'ann', [LABELS.owner]: 'somebody else' },
    })
    try {
      for (const error of [await failure(driver.find('ann')), await failure(box('ann', specOf(image)))])
        expect(isTenantBoxError(error, 'FOREIGN_BOX') && error.details.box).toBe(name)
      expect(await driver.list()).toEqual([])
    } finally {
      await stranger.remove({ force: true })
    }
  })

  it('is recognised when a label names another tenant than the name does', async () => {
    const { driver, pool } = await makeWorld()
    const labels = { [LABELS.pool]: pool.name, [LABELS.owner]: pool.owner, [LABELS.tenant]: 'bob' }
    const stranger = await engine.createContainer({
      name: boxName(pool.name, 'ann'),
      Image: image,
      Cmd: ['-'],
      Labels: labels,
    })
    try {
      expect(isTenantBoxError(await failure(driver.find('ann')), 'FOREIGN_BOX')).toBe(true)
      expect(await driver.list()).toEqual([])
    } finally {
      await stranger.remove({ force: true })
    }
  })
})

describe('a start that fails', () => {
  it('names a command that the image lacks, with its exit code', async () => {
    const { driver, box } = await makeWorld({ client: clientAfterTheEnd() })
    const ref = await box('ann', specOf(image, { command: ['/bin/no-such-agent'] }))
    const error = await failure(driver.start(ref))
    expect(isTenantBoxError(error, 'START_FAILED') && error.details).toMatchObject({
      phase: 'start',
      code: 127,
    })
    expect(String(error)).toContain('The image lacks the command')
    expect(await driver.inspect(ref)).toMatchObject({ state: 'stopped', exit: { code: 127, oom: false } })
  })

  it('names it also without init, where the engine itself refuses', async () => {
    const { driver, box } = await makeWorld({ hostConfig: { Init: false } })
    const ref = await box('ann', specOf(image, { command: ['/bin/no-such-agent'] }))
    const error = await failure(driver.start(ref))
    expect(isTenantBoxError(error, 'START_FAILED') && error.details).toMatchObject({
      phase: 'start',
      code: 127,
    })
    expect(String(error)).toContain('The image lacks the command')
  })

  it('asks for a command where the image has none of its own', async () => {
    const { box } = await makeWorld()
    const error = await failure(box('ann', specOf(image, { command: undefined })))
    expect(isTenantBoxError(error, 'START_FAILED') && error.details.phase).toBe('create')
    expect(String(error)).toContain('set box.command')
  })

  it('names a mount that cannot be made, and not the command, when it makes its first box and later', async () => {
    const { driver, box, pool } = await makeWorld()
    const mounts = [{ host: pool.dataDir, box: '/bin/perl', readOnly: true }]
    const first = await failure(box('ann', specOf(image, { mounts })))
    expect(isTenantBoxError(first, 'START_FAILED') && first.details.phase).toBe('create')
    expect(await driver.list()).toEqual([])
    await box('bob', specOf(image))
    const later = await failure(driver.start(await box('ann', specOf(image, { mounts }))))
    expect(isTenantBoxError(later, 'START_FAILED') && later.details.phase).toBe('start')
    for (const error of [first, later]) {
      expect(String(error)).toContain(`box.mounts that has the host's ${pool.dataDir}:`)
      expect(String(error)).not.toContain('the command')
    }
  })

  it('carries the last log lines, cut to size and harmless', async () => {
    const { driver, box } = await makeWorld({ client: clientAfterTheEnd() })
    const script = `print "line $_\\n" for 1..30; print "x" x 5000, "\\n\\e[31mred\\n"; exit 127`
    const ref = await box('ann', specOf(image, { command: ['/bin/perl', '-e', script] }))
    const error = await failure(driver.start(ref))
    if (!isTenantBoxError(error, 'START_FAILED')) throw error
    expect(error.details).toMatchObject({ phase: 'start', code: 127, oom: false })
    expect(error.details.lastLogs).toHaveLength(20)
    expect(error.details.lastLogs.slice(-3)).toEqual(['line 30', 'x'.repeat(1024), '\\u001b[31mred'])
    expect(JSON.stringify(error.details)).not.toContain('red')
  })

  it('is none when the box ran, however shortly', async () => {
    const { driver, box } = await makeWorld({ client: clientAfterTheEnd() })
    const ref = await box('ann', specOf(image, { command: ['/bin/sh', '-c', 'exit 3'] }))
    const { startedAt } = await driver.start(ref)
    expect(await driver.inspect(ref)).toMatchObject({
      state: 'stopped',
      startedAt,
      exit: { code: 3, oom: false },
    })
  })

  it('says which folder is missing, and makes none as root', async () => {
    const { driver, pool, folders } = await makeWorld()
    const { uid } = await folders('ann')
    await rm(join(pool.dataDir, 'ann', 'workspace'), { recursive: true })
    const user = uid === undefined ? undefined : { uid, gid: uid }
    const error = await failure(
      driver.create({ tenant: 'ann', slug: 'ann', spec: 's' }, { ...specOf(image), user }),
    )
    expect(isTenantBoxError(error, 'START_FAILED') && error.details.phase).toBe('create')
    expect(String(error)).toContain(join(pool.dataDir, 'ann', 'workspace'))
    await expect(chmod(join(pool.dataDir, 'ann', 'workspace'), 0o700)).rejects.toThrow('ENOENT')
  })

  it('says that the engine sees other folders than this process', async () => {
    const elsewhere = await makeWorld()
    await elsewhere.folders('ann')
    const { box } = await makeWorld({ hostDataDir: elsewhere.pool.dataDir })
    await elsewhere.box('ann', specOf(image))
    const error = await failure(box('ann', specOf(image)))
    expect(isTenantBoxError(error, 'START_FAILED') && error.message).toContain('hostDataDir')
  })

  it('tells a death by lack of memory from others', async () => {
    const { driver, box } = await makeWorld()
    const ref = await box(
      'ann',
      specOf(image, { command: ['/bin/perl', '-e', '$x = "x" x 2_000_000_000; sleep 100'] }),
    )
    await driver.start(ref)
    await engine.getContainer(ref.id).wait()
    expect(await driver.inspect(ref)).toMatchObject({ state: 'stopped', exit: { code: 137, oom: true } })
  })
})
