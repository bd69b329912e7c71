import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { docker } from '@tenantbox/core/docker'
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { isTenantBoxError } from '../../src/index.js'
import { importAgentImage, world } from '../engine/world.js'
import { failure } from '../pool/helpers.js'
import { PrivateEngine, whyNoPrivateEngine } from './private-engine.js'
import { SmallDisk, whyNoSmallDisk } from './small-disk.js'

// Disks are filled to the last block by these.
vi.setConfig({ testTimeout: 120_000 })

const KiB = 1024
const MiB = 1024 ** 2
/** What is only there while something is being written. */
const HALF_WRITTEN = /^\.tenantbox\/new\/.|secrets\.new|\.[0-9a-f-]{36}$/
const image = 'tenantbox-test:agent'
const reason = whyNoPrivateEngine() ?? whyNoSmallDisk()
if (reason !== undefined) console.warn(`Left out: the tests of full disks (${reason}).`)

/** The disk of the pool's files, and the engine's own. */
let files: SmallDisk
let containers: SmallDisk
let engine: PrivateEngine

beforeAll(async () => {
  if (reason !== undefined) return
  files = new SmallDisk(16 * MiB)
  containers = new SmallDisk(512 * MiB)
  // It sees what was mounted before it.
  engine = await PrivateEngine.open(containers.path)
  await importAgentImage(engine.client, image)
})

afterEach(async () => {
  await files?.free()
  await containers?.free()
})

afterAll(async () => {
  await engine?.close()
  for (const disk of [files, containers]) disk?.unmount()
})

async function onSmallDisks(secrets: Record<string, string> = { token: 's3cret' }) {
  const dataDir = await mkdtemp(join(files.path, 'data-'))
  onTestFinished(() => rm(dataDir, { recursive: true }))
  const driver = docker({ socketPath: engine.socketPath })
  return { ...(await world(image, { driver, dataDir, box: { image, secrets } })), dataDir }
}

/** Every file and folder of the pool, but those of agents. */
async function paths(dataDir: string): Promise<string[]> {
  const all = await readdir(dataDir, { recursive: true })
  return all.filter((path) => !/\/(run|gateway|workspace)\//.test(path)).sort()
}

describe.skipIf(reason !== undefined)('a data folder on a full disk', () => {
  it('keeps new boxes from being made, leaves nothing half-made, and all works again afterwards', async () => {
    const { pool, dataDir } = await onSmallDisks()
    await pool.send('old', 'remember x').text()
    await files.fill()
    const before = await paths(dataDir)
    for (let i = 0; i < 2; i++) {
      const { details, message } = await failure(pool.ensure('new'), 'START_FAILED')
      expect(details.phase).toBe('create')
      expect(message).toMatch(/no space left|ENOSPC/i)
    }
    expect(await paths(dataDir)).toEqual(before)
    expect((await engine.client.listContainers({ all: true })).length).toBe(1)
    expect(pool.get('new')).toMatchObject({ state: 'absent', leases: 0 })
    // Who is awake goes on, and can be put to sleep.
    expect(await pool.send('old', 'what do you know?').text()).toBe('x\n')
    await pool.pause('old')
    expect(await pool.send('old', 'what do you know?').text()).toBe('x\n')
    await files.free()
    expect(await pool.send('new', 'remember y').text()).toBe('y\n')
  })

  it('leaves nothing half-written, wherever in a wake it becomes full', async () => {
    const { pool, dataDir } = await onSmallDisks({ token: 'x'.repeat(16 * KiB) })
    await pool.start()
    let failures = 0
    for (let room = 0; ; room += 2 * KiB) {
      await files.free()
      await files.fill(room)
      const error = await pool.ensure('a').then(
        () => undefined,
        (reason: unknown) => reason,
      )
      if (error === undefined) break
      if (!isTenantBoxError(error, 'START_FAILED')) throw error
      failures++
      expect((await paths(dataDir)).filter((path) => HALF_WRITTEN.test(path))).toEqual([])
    }
    expect(failures).toBeGreaterThan(5)
  })

  it('keeps a box whose secrets cannot be written from starting with half of them', async () => {
    const { pool, dataDir } = await onSmallDisks()
    await pool.send('a', 'remember x').text()
    await pool.stop('a')
    await files.fill()
    const before = await paths(dataDir)
    for (let i = 0; i < 4; i++) {
      const { details, message } = await failure(pool.ensure('a'), 'START_FAILED')
      expect(details.phase).toBe('start')
      expect(message).toMatch(/no space left|ENOSPC/i)
    }
    expect(pool.get('a')).toMatchObject({ state: 'stopped', leases: 0 })
    expect(await paths(dataDir)).toEqual(before)
    await files.free()
    expect(await (await pool.fetch('a', '/secret')).text()).toBe('s3cret')
  })

  it('keeps no pool from starting, nor a tenant’s data from being deleted', async () => {
    const { pool, again, dataDir } = await onSmallDisks()
    await pool.send('a', 'remember x').text()
    await pool.ensure('b')
    await files.fill()
    await pool.close()
    const second = again()
    expect(await second.start()).toMatchObject({ adopted: 2 })
    expect(await second.send('a', 'what do you know?').text()).toBe('x\n')
    expect(await second.remove('b', { data: 'delete' })).toEqual({ leftBehind: [] })
    expect(await readdir(dataDir)).not.toContain('b')
  })

  it('is no place for a new pool, which says so', async () => {
    const { pool } = await onSmallDisks()
    await files.fill()
    const { details, message } = await failure(pool.start(), 'INVALID_OPTION')
    expect(details).toMatchObject({ option: 'dataDir', got: 'ENOSPC' })
    expect(message).toContain('give it room')
    await files.free()
    await pool.ensure('a')
  })
})

describe.skipIf(reason !== undefined)('an engine on a full disk', () => {
  it('refuses new boxes, keeps the old ones, and makes new ones once there is room', async () => {
    const { pool, name } = await onSmallDisks()
    await pool.send('old', 'remember x').text()
    await containers.fill()
    const { details, message } = await failure(pool.ensure('new'), 'START_FAILED')
    expect(['create', 'start']).toContain(details.phase)
    expect(message).toContain('no space left on device')
    expect(pool.stats()).toMatchObject({ ok: true, engine: 'up' })
    expect(await pool.send('old', 'what do you know?').text()).toBe('x\n')
    await pool.pause('old')
    await pool.ensure('old')
    await pool.stop('old')
    await containers.free()
    expect(await pool.send('old', 'what do you know?').text()).toBe('x\n')
    expect(await pool.send('new', 'remember y').text()).toBe('y\n')
    const boxes = await engine.client.listContainers({ all: true })
    expect(boxes.flatMap(({ Names }) => Names).sort()).toEqual([`/tbx-${name}-new`, `/tbx-${name}-old`])
  })
})
