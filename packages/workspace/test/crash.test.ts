import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { beforeAll, describe, expect, test } from 'vitest'
import { Workspace } from '../src/index.js'
import { everything, expireClaims } from './support/archives.js'
import { buildProgram, ready, withProgram } from './support/child.js'
import { all, temporaryFolder } from './support/folder.js'

/** Each round kills one process in the middle of six writing calls. */
const ROUNDS = Number(process.env.TENANTBOX_CRASH_ROUNDS ?? 100)

let writer: string
beforeAll(async () => {
  writer = await buildProgram('writer')
})

function assertWhole(text: string): void {
  expect(text.length % 1000).toBe(0)
  expect(new Set(text).size).toBeLessThanOrEqual(1)
}

function confirmedIn(log: string): string[] {
  const path = join(log, 'appended')
  return existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n') : []
}

/** Runs `work` for each item, two at a time. */
async function inLanes<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const left = items.values()
  const lane = async (): Promise<void> => {
    for (const item of left) await work(item)
  }
  await Promise.all([lane(), lane()])
}

describe('kill -9 of a writer at any point', () => {
  test(`${ROUNDS} times: every file is the old or the new one whole, and no entry is lost or doubled`, {
    timeout: 60_000 + ROUNDS * 2000,
  }, async () => {
    await inLanes([0, 1], async () => {
      const folder = temporaryFolder()
      const log = temporaryFolder()
      const problems: string[] = []
      const workspace = await Workspace.open(folder, { onProblem: ({ message }) => problems.push(message) })
      for (let round = 0; round < ROUNDS / 2; round++) {
        await withProgram(writer, [folder, log, `${round}`], async (child) => {
          await ready(child)
          await delay(Math.random() * 40)
        })
        assertWhole((await workspace.memory.read()).text)
        for (const name of ['notes/file.txt', 'notes/stream.txt'])
          if (existsSync(join(folder, name))) assertWhole(await workspace.files.text(name))
        const schedules = await workspace.schedules.list()
        expect(schedules.length).toBeLessThanOrEqual(6 * (round + 1))
        // At most one torn tail, which the next append heals.
        problems.length = 0
        await workspace.session.tail(1)
        expect(problems.length).toBeLessThanOrEqual(1)
      }
      const found = await all(workspace.session.entries())
      const counts = new Map<string, number>()
      for (const { id } of found) counts.set(id, (counts.get(id) ?? 0) + 1)
      const confirmed = confirmedIn(log)
      expect(confirmed.length).toBeGreaterThanOrEqual(ROUNDS / 2)
      expect(confirmed.filter((id) => counts.get(id) !== 1)).toEqual([])
      expect(counts.size).toBe(found.length)
    })
  })

  test(`${ROUNDS} times while it archives: no entry is lost or doubled over session and archives`, {
    timeout: 60_000 + ROUNDS * 2000,
  }, async () => {
    const rounds = Array.from({ length: ROUNDS }, () => ({
      folder: temporaryFolder(),
      log: temporaryFolder(),
    }))
    await inLanes(rounds, ({ folder, log }) =>
      withProgram(writer, [folder, log, 'a', 'archive'], async (child) => {
        await ready(child)
        await delay(Math.random() * 50)
      }),
    )
    let archived = 0
    for (const { folder, log } of rounds) {
      expireClaims(folder)
      const workspace = await Workspace.open(folder)
      await workspace.session.append({ id: 'last', role: 'user', content: 'x' })
      const found = await everything(folder, workspace)
      expect(new Set(found).size).toBe(found.length)
      const confirmed = confirmedIn(log)
      expect(confirmed.filter((id) => !found.includes(id))).toEqual([])
      const unconfirmed = found.filter((id) => id !== 'last' && !confirmed.includes(id))
      expect(unconfirmed.length).toBeLessThanOrEqual(1)
      // In the order in which they were said.
      const inOrder = found.slice(0, -1).map((id) => Number(id.split('-')[1]))
      expect(inOrder).toEqual(inOrder.toSorted((one, other) => one - other))
      if (existsSync(join(folder, 'session-archive')))
        archived += readdirSync(join(folder, 'session-archive')).length
    }
    expect(archived).toBeGreaterThanOrEqual(ROUNDS)
  })
})

describe('several writers at once', () => {
  test('four processes and this one append while two of them archive: nothing is lost or doubled', {
    timeout: 60_000,
  }, async () => {
    const folder = temporaryFolder()
    const logs = Array.from({ length: 4 }, (_, index) => {
      const log = join(temporaryFolder(), `${index}`)
      mkdirSync(log)
      return log
    })
    const workspace = await Workspace.open(folder)
    const own: string[] = []
    const run = async (index: number): Promise<void> => {
      const args = [folder, logs[index] ?? '', `p${index}`, index < 2 ? 'archive' : 'plain']
      await withProgram(writer, args, async (child) => {
        await ready(child)
        await delay(2500)
      })
    }
    const writing = Promise.all([0, 1, 2, 3].map(run))
    let on = true
    void writing.then(() => {
      on = false
    })
    while (on || own.length < 10)
      own.push((await workspace.session.append({ role: 'user', content: 'own' })).id)
    await writing
    expireClaims(folder)
    own.push((await (await Workspace.open(folder)).session.append({ role: 'user', content: 'last' })).id)

    const found = await everything(folder, workspace)
    const twice = found.filter((id, index) => found.indexOf(id) !== index)
    expect(twice).toEqual([])
    const all = new Set(found)
    expect([...own, ...logs.flatMap(confirmedIn)].filter((id) => !all.has(id))).toEqual([])
  })
})
