import { mkdir, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it, onTestFinished, vi } from 'vitest'
import { boxName, LABELS, slugOf } from '../../src/identity.js'
import type { TenantInfo } from '../../src/index.js'
import { Tenant } from '../../src/tenant.js'
import { newTenantFile } from '../../src/tenant-file.js'
import { type TestClock, testClock } from '../../src/testing/index.js'
import { next, of, type Setup, setup } from './helpers.js'

const TENANTS = 100_000
/** Known by their folders alone. The others have a box: as many folders would take longer than everything else. */
const ABSENT = 1_000
const PAGE = 1_000
const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE

const ids = Array.from({ length: TENANTS }, (_, index) =>
  index < ABSENT ? `Absent ${index}` : `asleep-${index}`,
)
const absent = ids.slice(0, ABSENT)
const [firstDue = '', ...asleep] = ids.slice(ABSENT)

/** A pool that is to find them all. The box of `firstDue` is to be removed in a minute, the others in a day. */
async function manyTenants(): Promise<Setup & { clock: TestClock }> {
  const clock = testClock()
  const world = await setup({ clock, idle: { removeAfter: DAY } })
  const { pool, again, engine, dataDir } = world
  await pool.ensure(firstDue)
  await pool.close({ boxes: 'stop' })
  for (const tenant of absent) await leaveFolder(dataDir, slugOf(tenant), tenant)
  const labels = engine.box(firstDue)?.labels
  for (const tenant of asleep)
    engine.plant({ name: boxName('test', slugOf(tenant)), labels: { ...labels, [LABELS.tenant]: tenant } })
  const active = (clock.now() - DAY + MINUTE) / 1_000
  await utimes(join(dataDir, firstDue, 'tenant.json'), active, active)
  return { ...world, pool: again(), clock }
}

async function leaveFolder(dataDir: string, name: string, tenant: string): Promise<void> {
  await mkdir(join(dataDir, name))
  await writeFile(join(dataDir, name, 'tenant.json'), JSON.stringify(newTenantFile(tenant, undefined)))
}

/** Whose state was looked at since this was called. */
function watchLooks(): () => Set<string> {
  const state = vi.spyOn(Tenant.prototype, 'state', 'get')
  onTestFinished(() => state.mockRestore())
  return () => new Set((state.mock.contexts as Tenant[]).map(({ id }) => id))
}

function pageOf(listing: Iterator<TenantInfo>): TenantInfo[] {
  const page: TenantInfo[] = []
  for (let entry = listing.next(); !entry.done; entry = listing.next()) {
    page.push(entry.value)
    if (page.length === PAGE) break
  }
  return page
}

const idsOf = (tenants: Iterable<TenantInfo>): string[] => [...tenants].map(({ tenant }) => tenant)

it('lists a hundred thousand tenants page by page, and nothing else in the data folder', async () => {
  const { pool, dataDir, events } = await manyTenants()
  await leaveFolder(dataDir, 'not-the-slug', 'Somebody')
  await mkdir(join(dataDir, 'photos'))
  await writeFile(join(dataDir, 'notes.txt'), 'no tenant')
  expect(await pool.start()).toMatchObject({ adopted: TENANTS - ABSENT })

  const looks = watchLooks()
  const listing = pool.list()
  const listed = pageOf(listing)
  expect(looks().size).toBe(PAGE)
  // Who wakes or comes between two pages makes nobody missed, and nobody seen twice.
  await Promise.all([firstDue, 'newcomer'].map((tenant) => pool.ensure(tenant)))
  for (let page = pageOf(listing); page.length > 0; page = pageOf(listing)) listed.push(...page)
  expect(idsOf(listed).sort()).toEqual([...ids, 'newcomer'].sort())

  expect(idsOf(pool.list({ state: 'absent' })).sort()).toEqual([...absent].sort())
  expect(idsOf(pool.list({ state: 'stopped' })).sort()).toEqual([...asleep].sort())
  expect(idsOf(pool.list({ state: 'running' })).sort()).toEqual([firstDue, 'newcomer'])
  const some = ids.filter((tenant) => tenant.startsWith('asleep-99'))
  expect(idsOf(pool.list({ prefix: 'asleep-99' })).sort()).toEqual(some.sort())
  expect(pool.stats()).toMatchObject({ known: TENANTS + 1, running: 2 })
  const strays = await pool.strays()
  expect(strays.map(({ name }) => name).sort()).toEqual(['not-the-slug', 'notes.txt', 'photos'])
  expect(of(events, 'warning').map(({ code }) => code)).toEqual(strays.map(() => 'STRAY_FOLDER'))
})

it('reaps among a hundred thousand tenants looking only at those who are due', async () => {
  const { pool, engine, events, clock } = await manyTenants()
  await pool.start()
  const looks = watchLooks()
  const told = events.length
  const calls = engine.calls()
  await pool.reap()
  expect([...looks()]).toEqual([])
  expect([engine.calls(), events.length]).toEqual([calls, told])

  const removed = next(pool, 'transition', ({ to }) => to === 'absent')
  await clock.advance(MINUTE)
  expect((await removed).tenant).toBe(firstDue)
  expect([...looks()]).toEqual([firstDue])
  expect(engine.calls('remove')).toBe(1)
})
