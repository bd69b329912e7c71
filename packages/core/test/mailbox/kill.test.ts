import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { tempDirectory } from '../sockets.js'
import { type GatewayProcess, type Note, readNotes, useGateways } from './gateway-process.js'

const ROUNDS = 55
const TENANTS = 20
const MESSAGES = 25

const runGateway = useGateways()

describe('kill -9 of the gateway', () => {
  it('at random instants: loses nothing, keeps the order, repeats only what was in flight', async () => {
    const folder = tempDirectory()
    const options = { dataDir: join(folder, 'data'), log: join(folder, 'log'), maxAttempts: 999 }
    const all = Array.from({ length: TENANTS * MESSAGES }, (_, index) => ({
      tenant: `t${index % TENANTS}`,
      id: `${index}`,
      body: 'quick' as const,
    }))
    const posted = new Set<string>()
    const postTo = (gateway: GatewayProcess, upTo: number): void => {
      for (const order of all.slice(0, upTo)) if (!posted.has(order.id)) gateway.post(order)
    }
    const learn = ({ reports }: GatewayProcess): void => {
      for (const report of reports) {
        if (report.kind === 'refused') throw new Error(`${report.id} was refused: ${report.why}`)
        if (report.kind === 'posted' && report.id !== undefined) posted.add(report.id)
      }
    }
    for (let round = 0; round < ROUNDS; round++) {
      const gateway = runGateway({ ...options, life: round })
      postTo(gateway, Math.ceil((all.length * (round + 1)) / ROUNDS))
      // Sometimes while it starts, mostly at work.
      await (round % 5 === 0 ? gateway.heard('held') : gateway.heard('started'))
      await setTimeout(Math.random() * 40)
      gateway.signal('SIGKILL')
      expect(await gateway.exited).toBe('SIGKILL')
      learn(gateway)
    }
    const last = runGateway({ ...options, life: ROUNDS })
    postTo(last, all.length)
    // Those that are known come as duplicates: all of them are posted when the last is.
    for (const { id } of all) if (!posted.has(id)) await last.heard('posted', id)
    const closing = Array.from({ length: TENANTS }, (_, tenant) => ({
      tenant: `t${tenant}`,
      id: `last ${tenant}`,
    }))
    for (const { tenant, id } of closing) {
      last.post({ tenant, id, body: 'quick' })
      await last.heard('done', id)
    }
    const notes = await readNotes(options.log)
    for (let tenant = 0; tenant < TENANTS; tenant++) {
      const own = notes.filter((note) => note.tenant === `t${tenant}` && !note.id.startsWith('last'))
      const wanted = all.filter((order) => order.tenant === `t${tenant}`).map(({ id }) => id)
      expect(firstOf(own, 'begun')).toEqual(wanted)
      expect(firstOf(own, 'ended')).toEqual(wanted)
      expectRepeatsInFlight(own)
    }
  }, 600_000)

  it('by the message itself, each time: it is parked, and the next one handled', async () => {
    const folder = tempDirectory()
    const options = { dataDir: join(folder, 'data'), log: join(folder, 'log'), maxAttempts: 3 }
    for (let life = 1; life <= 3; life++) {
      const gateway = runGateway({ ...options, life })
      if (life === 1) {
        gateway.post({ tenant: 'a', id: 'harmless', body: 'quick' })
        await gateway.heard('done')
        gateway.post({ tenant: 'a', id: 'deadly', body: 'deadly' })
        gateway.post({ tenant: 'a', id: 'next', body: 'quick' })
      }
      expect(await gateway.exited).toBe('SIGKILL')
    }
    const gateway = runGateway({ ...options, life: 4 })
    gateway.post({ tenant: 'a', id: 'next', body: 'quick' })
    await gateway.heard('done', 'next')
    await gateway.heard('failed', 'deadly')
    const begun = (await readNotes(options.log)).filter(({ what }) => what === 'begun')
    expect(begun.map(({ id, attempt }) => `${id}.${attempt}`)).toEqual([
      'harmless.1',
      'deadly.1',
      'deadly.2',
      'deadly.3',
      'next.1',
    ])
  })

  it('hands over: a suspended owner keeps everything to itself, a dead one leaves everything', async () => {
    const folder = tempDirectory()
    const options = { dataDir: join(folder, 'data'), log: join(folder, 'log'), maxAttempts: 5 }
    const owner = runGateway({ ...options, life: 1 })
    for (const id of ['1', '2', '3']) owner.post({ tenant: 'a', id, body: id === '1' ? 'endless' : 'quick' })
    await owner.heard('posted', '3')
    await owner.heard('begun', '1')
    owner.signal('SIGSTOP')
    const heir = runGateway({ ...options, life: 2 })
    heir.post({ tenant: 'a', id: '4', body: 'quick' })
    await heir.heard('waiting')
    expect(heir.reports.map(({ kind }) => kind)).toEqual(['waiting'])
    owner.signal('SIGKILL')
    await owner.exited
    await heir.heard('posted', '4')
    await heir.heard('begun', '1')
    const begun = (await readNotes(options.log)).filter(({ what }) => what === 'begun')
    expect(begun.map(({ life, id, attempt }) => [life, id, attempt])).toEqual([
      [1, '1', 1],
      [2, '1', 2],
    ])
  })
})

function firstOf(notes: readonly Note[], what: Note['what']): string[] {
  return [...new Set(notes.filter((note) => note.what === what).map(({ id }) => id))]
}

/** What is begun again was the last of its tenant in the life before, and its attempts count on. */
function expectRepeatsInFlight(notes: readonly Note[]): void {
  const begun = notes.filter(({ what }) => what === 'begun')
  for (const [index, note] of begun.entries()) {
    const before = begun.slice(0, index).findLast(({ id }) => id === note.id)
    if (!before) continue
    expect(before.life, `message ${note.id}`).toBeLessThan(note.life)
    expect(begun.filter(({ life }) => life === before.life).at(-1)).toBe(before)
    expect(note.attempt).toBeGreaterThan(before.attempt)
  }
}
