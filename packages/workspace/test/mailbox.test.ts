import { randomUUID } from 'node:crypto'
import fs, { cpSync, lstatSync, writeFileSync } from 'node:fs'
import fsPromises, { open } from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import { Mailbox, TenantPool } from '@tenantbox/core'
import { memoryDriver } from '@tenantbox/core/testing'
import { expect, onTestFinished, test } from 'vitest'
import { type Due, Scheduler } from '../src/index.js'
import { temporaryFolder } from './support/folder.js'
import { TestClock } from './support/test-clock.js'

const TENANTS = ['anna', 'berta']
const base = { text: 'x', enabled: true, createdAt: '2026-01-01T00:00:00Z' }
const SCHEDULES = [
  { ...base, id: 'once', at: '2026-01-01T09:00:00Z' },
  { ...base, id: 'daily', every: '1d', until: '2026-01-03T12:00:00Z', misfire: 'all' },
]
const DUES = [
  'once@2026-01-01T09:00:00.000Z',
  'daily@2026-01-02T00:00:00.000Z',
  'daily@2026-01-03T00:00:00.000Z',
]

interface Turn {
  readonly tenant: string
  readonly id: string
  readonly attempt: number
}

/** A pool, its mailbox and a scheduler, with all that they have on the disk below `root`. */
function gatewayIn(root: string, turns: Turn[] = []) {
  const problems: string[] = []
  const clock = new TestClock('2026-01-05T00:00:00Z')
  const pool = new TenantPool({
    name: 'test',
    driver: memoryDriver(),
    dataDir: join(root, 'data'),
    box: { image: 'agent:1' },
  })
  const mailbox = new Mailbox<Due | null>({
    pool,
    handle: async (turn) => {
      turns.push({ tenant: turn.tenant, id: turn.id, attempt: turn.attempt })
      await turn.box()
    },
  })
  const scheduler = new Scheduler({
    stateDir: join(root, 'scheduler'),
    *tenants() {
      for (const { tenant, workspaceDir: dir } of pool.list()) yield { tenant, dir }
    },
    onDue: async (due) => {
      await mailbox.post(due.tenant, { id: due.id, body: due })
    },
    onProblem: ({ message }) => problems.push(message),
    clock,
  })
  return {
    pool,
    turns,
    problems,
    /** Until all that is due has been handed over, and handled. */
    live: async (): Promise<void> => {
      await mailbox.start()
      await scheduler.start()
      do {
        clock.advance(0)
        await scheduler.idle()
      } while (clock.isDue)
      // An earlier life may have had a last message too.
      const last = randomUUID()
      await Promise.all(
        TENANTS.map(async (tenant) => {
          const handled = new Promise<void>((resolve) =>
            mailbox.on('done', (done) => {
              if (done.tenant === tenant && done.id === last) resolve()
            }),
          )
          await mailbox.post(tenant, { id: last, body: null })
          await handled
        }),
      )
    },
    close: async (): Promise<void> => {
      await scheduler.close()
      await pool.close({ drain: 0 })
    },
  }
}

/** Calls back before each call that changes the disk, whoever makes it, until the returned function is called. */
async function beforeEachStep(onStep: () => void): Promise<() => void> {
  const handle = await open('/dev/null')
  const places: readonly [object, readonly string[]][] = [
    [fs, ['openSync', 'writeSync', 'renameSync', 'unlinkSync']],
    [fsPromises, ['open', 'rename', 'unlink', 'rm', 'mkdir']],
    [Object.getPrototypeOf(handle), ['write', 'writeFile', 'appendFile', 'sync', 'datasync']],
  ]
  await handle.close()
  const originals: (() => void)[] = []
  const putBack = (): void => {
    for (const original of originals.splice(0)) original()
    syncBuiltinESMExports()
  }
  let stepping = false
  for (const [place, names] of places)
    for (const name of names) {
      const original = Reflect.get(place, name) as (...args: unknown[]) => unknown
      const watched = function (this: unknown, ...args: unknown[]): unknown {
        // What the listener does is no step.
        if (!stepping) {
          stepping = true
          onStep()
          stepping = false
        }
        return original.apply(this, args)
      }
      Object.assign(place, { [name]: watched })
      originals.push(() => Object.assign(place, { [name]: original }))
    }
  syncBuiltinESMExports()
  onTestFinished(putBack)
  return putBack
}

test('a gateway killed at any step, from the claim of a due to the end of its turn: each due is exactly one message', {
  timeout: 120_000,
}, async () => {
  const root = temporaryFolder()
  const first = gatewayIn(join(root, 'first'))
  for (const tenant of TENANTS) {
    const { workspaceDir } = await first.pool.ensure(tenant)
    writeFileSync(join(workspaceDir, 'SCHEDULES.json'), JSON.stringify({ version: 1, schedules: SCHEDULES }))
  }
  /** What a kill would leave at each step: the disk, and the turns that had begun by then. */
  const ends: { readonly disk: string; readonly turns: Turn[] }[] = []
  const stop = await beforeEachStep(() => {
    const disk = join(root, `${ends.length}`)
    cpSync(join(root, 'first'), disk, { recursive: true, filter: (path) => !lstatSync(path).isSocket() })
    ends.push({ disk, turns: [...first.turns] })
  })
  await first.live()
  stop()
  await first.close()

  const met = new Set<number>()
  for (const [step, { disk, turns }] of [
    ...ends,
    { disk: join(root, 'first'), turns: first.turns },
  ].entries()) {
    met.add(turns.length)
    const next = gatewayIn(disk, turns)
    await next.live()
    await next.close()
    expect(next.problems).toEqual([])
    for (const tenant of TENANTS) {
      const own = turns.filter((turn) => turn.tenant === tenant)
      for (const id of DUES) {
        const attempts = own.filter((turn) => turn.id === id).map(({ attempt }) => attempt)
        // One that was killed before or in its turn is at its second attempt; a second message would be at its first.
        expect([[1], [2], [1, 2]], `${id} of ${tenant}, killed at step ${step}`).toContainEqual(attempts)
      }
    }
  }
  // Before the turns, between them, and after.
  expect(met.size).toBeGreaterThan(DUES.length)
})
