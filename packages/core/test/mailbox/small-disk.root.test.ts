import { mkdtemp, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { isTenantBoxError, TenantPool } from '../../src/index.js'
import { memoryDriver } from '../../src/testing/index.js'
import { SmallDisk, whyNoSmallDisk } from '../faults/small-disk.js'
import { failure } from '../pool/helpers.js'
import { ids, watch } from './helpers.js'

const KiB = 1024
const BODY = 'x'.repeat(3 * KiB)
const reason = whyNoSmallDisk()
if (reason !== undefined) console.warn(`Left out: the tests of a mailbox on a full disk (${reason}).`)

let disk: SmallDisk

beforeAll(() => {
  if (reason === undefined) disk = new SmallDisk(16 * KiB ** 2)
})

afterEach(() => disk?.free())

afterAll(() => disk?.unmount())

async function open(dataDir: string) {
  const pool = new TenantPool({ name: 'test', driver: memoryDriver(), dataDir, box: { image: 'agent:1' } })
  const warnings: string[] = []
  pool.on('warning', ({ code }) => warnings.push(code))
  return { pool, warnings }
}

/** What lies in a folder of all mailboxes. */
async function inAll(dataDir: string, folder: string): Promise<string[]> {
  const all = await readdir(dataDir, { recursive: true })
  return all.filter((path) => path.includes(`/mailbox/${folder}/`))
}

describe.skipIf(reason !== undefined)('a mailbox on a full disk', () => {
  it('refuses what it cannot store, with nothing left of it, and takes it when there is room', async () => {
    for (const leaving of [0, 1, 2, 4, 8, 12, 16, 24, 32, 48, 64]) {
      const dataDir = await mkdtemp(join(disk.path, 'data-'))
      const { pool } = await open(dataDir)
      const { mailbox, seen, next } = watch<string>(pool, { handle: async () => {} })
      await mailbox.post('old', { id: '0', body: BODY })
      await disk.fill(leaving * KiB)
      const stored = ['old 0']
      const refused: [string, string][] = []
      for (const tenant of ['old', 'new', 'newer'])
        for (const id of ['1', '2', '3', '4']) {
          const posted = await mailbox.post(tenant, { id, body: BODY }).catch((error: unknown) => error)
          if (isTenantBoxError(posted, 'NOT_STORED')) {
            expect(posted).toMatchObject({ retryable: true, tenant, details: { errno: 'ENOSPC' } })
            refused.push([tenant, id])
          } else {
            expect(posted).toEqual({ duplicate: false })
            stored.push(`${tenant} ${id}`)
          }
        }
      expect(refused.length).toBeGreaterThan(0)
      expect(await inAll(dataDir, 'new')).toHaveLength(stored.length)
      expect(await inAll(dataDir, 'tmp')).toEqual([])
      await disk.free()
      for (const [tenant, id] of refused)
        expect(await mailbox.post(tenant, { id, body: BODY })).toEqual({ duplicate: false })
      const all = next('done', () => ids(seen, 'done').length === 13)
      await mailbox.start()
      await all
      await pool.close()
    }
  })

  it('handles what waits, and loses nothing', async () => {
    const dataDir = await mkdtemp(join(disk.path, 'data-'))
    const { pool, warnings } = await open(dataDir)
    const handled: string[] = []
    const { mailbox, seen, next } = watch<string>(pool, {
      handle: async ({ tenant, id }) => void handled.push(`${tenant} ${id}`),
    })
    const tenants = ['a', 'b', 'c']
    for (const tenant of tenants)
      for (const id of ['1', '2', '3']) await mailbox.post(tenant, { id, body: BODY })
    await disk.fill()
    await failure(mailbox.post('a', { id: '4', body: BODY }), 'NOT_STORED')
    const all = next('done', () => ids(seen, 'done').length === 9)
    await mailbox.start()
    await all
    expect(handled.toSorted()).toEqual(
      tenants.flatMap((tenant) => ['1', '2', '3'].map((id) => `${tenant} ${id}`)),
    )
    expect(warnings).toEqual([])
    await pool.close()
  })
})
