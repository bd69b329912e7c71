import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, expectTypeOf, test } from 'vitest'
import { type Due, type Json, Workspace } from '../src/index.js'
import { temporaryFolder, temporaryWorkspace } from './support/folder.js'
import { standardSchema } from './support/schema.js'

const file = (folder: string) => join(folder, 'SCHEDULES.json')
const read = (folder: string) => JSON.parse(readFileSync(file(folder), 'utf8'))
const base = { text: 'x', enabled: true, createdAt: '2026-01-01T00:00:00Z' }

describe('SCHEDULES.json', () => {
  test('add, list, update and remove', async () => {
    const { workspace, folder } = await temporaryWorkspace()
    expect(await workspace.schedules.list()).toEqual([])
    const added = await workspace.schedules.add({ text: 'stretch', every: '1h' })
    expect(added).toMatchObject({ text: 'stretch', every: '1h', enabled: true })
    expect(read(folder)).toEqual({ version: 1, schedules: [added] })
    const [listed] = await workspace.schedules.list()
    expect(Date.parse(listed?.nextAt ?? '')).toBe(Date.parse(added.createdAt) + 3_600_000)
    const updated = await workspace.schedules.update(added.id, {
      cron: '0 9 * * *',
      timezone: 'Europe/Berlin',
      thread: 't',
    })
    expect(updated).toEqual({
      ...added,
      every: undefined,
      cron: '0 9 * * *',
      timezone: 'Europe/Berlin',
      thread: 't',
    })
    expect('every' in updated).toBe(false)
    const disabled = await workspace.schedules.update(added.id, { enabled: false, thread: null })
    expect('thread' in disabled).toBe(false)
    expect((await workspace.schedules.list())[0]).not.toHaveProperty('nextAt')
    expect(await workspace.schedules.remove(added.id)).toBe(true)
    expect(await workspace.schedules.remove(added.id)).toBe(false)
    await expect(workspace.schedules.update(added.id, {})).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  test.each([
    ['no time', {}],
    ['two times', { at: '2027-01-01T00:00:00Z', every: '1h' }],
    ['a local time without a zone', { at: '2027-01-01T00:00:00' }],
    ['a day that does not exist', { at: '2027-02-30T00:00:00Z' }],
    ['a zone that does not exist', { at: '2027-01-01T00:00:00', timezone: 'Mars/Olympus' }],
    ['no unit', { every: '15' }],
    ['nothing at all', { every: '0m' }],
    ['less than a minute', { every: '59s' }],
    ['a year too many', { every: '11000d' }],
    ['seconds in cron', { cron: '* * * * * *' }],
    ['nonsense in cron', { cron: 'every now and then' }],
    ['a date in cron', { cron: '2027-01-01T00:00:00' }],
    ['from without every', { cron: '0 9 * * *', from: '2027-01-01T00:00:00Z' }],
    ['an unknown policy', { every: '1h', misfire: 'never' }],
    ['a createdAt that is none', { every: '1h', createdAt: 'today' }],
    ['an empty id', { every: '1h', id: '' }],
  ])('%s is refused', async (_name, invalid) => {
    const { workspace, folder } = await temporaryWorkspace()
    await expect(workspace.schedules.add({ text: 'x', ...invalid } as never)).rejects.toMatchObject({
      code: 'INVALID_SCHEDULE',
    })
    expect(() => readFileSync(file(folder))).toThrow('ENOENT')
  })

  test('an id is taken once', async () => {
    const { workspace } = await temporaryWorkspace()
    await workspace.schedules.add({ id: 'a', text: 'x', every: '1h' })
    await expect(workspace.schedules.add({ id: 'a', text: 'y', every: '1h' })).rejects.toMatchObject({
      code: 'INVALID_SCHEDULE',
      details: { id: 'a' },
    })
  })

  test("what it does not know it keeps: a newer version's keys, schedules that are invalid here", async () => {
    const { workspace, folder, problems } = await temporaryWorkspace()
    const content = {
      version: 1,
      future: { a: 1 },
      schedules: [
        { id: 'broken', nonsense: true },
        7,
        { ...base, id: 'good', every: '1h', colour: 'red' },
        { ...base, id: 'good', every: '2h' },
      ],
    }
    writeFileSync(file(folder), JSON.stringify(content))
    expect((await workspace.schedules.list()).map(({ id, every }) => [id, every])).toEqual([['good', '1h']])
    expect(problems).toHaveLength(3)
    const added = await workspace.schedules.add({ text: 'x', every: '1h' })
    expect(read(folder)).toEqual({ ...content, schedules: [...content.schedules, added] })
  })

  test.each([
    ['no JSON', '{"version":1,'],
    ['an array', '[]'],
    ['another version', '{"version":2,"schedules":[]}'],
    ['no array', '{"version":1,"schedules":{}}'],
    ['a __proto__', '{"version":1,"schedules":[],"__proto__":{"a":1}}'],
    ['deep nesting', `{"version":1,"schedules":[],"x":${'['.repeat(1e5)}${']'.repeat(1e5)}}`],
    ['an unknown zone', '{"version":1,"timezone":"x","schedules":[]}'],
  ])('%s as a whole is refused, and never overwritten', async (_name, content) => {
    const { workspace, folder } = await temporaryWorkspace()
    writeFileSync(file(folder), content)
    await expect(workspace.schedules.list()).rejects.toMatchObject({ code: 'INVALID_FILE' })
    await expect(workspace.schedules.add({ text: 'x', every: '1h' })).rejects.toMatchObject({
      code: 'INVALID_FILE',
    })
    expect(readFileSync(file(folder), 'utf8')).toBe(content)
  })

  test("next tells each schedule's next due, soonest first", async () => {
    const folder = temporaryFolder()
    const workspace = await Workspace.open(folder, { tenant: 'anna' })
    writeFileSync(
      file(folder),
      JSON.stringify({
        version: 1,
        timezone: 'Europe/Berlin',
        schedules: [
          { ...base, id: 'cron', cron: '0 9 * * *' },
          { ...base, id: 'past', at: '2026-01-01T10:00:00' },
          { ...base, id: 'at', at: '2026-07-01T08:00:00' },
          { ...base, id: 'off', every: '1m', enabled: false },
          { ...base, id: 'over', every: '1m', until: '2026-06-01T00:00:00' },
          { ...base, id: 'other', at: '2026-07-01T08:30:00', timezone: 'America/New_York' },
        ],
      }),
    )
    const dues = await workspace.schedules.next(new Date('2026-07-01T00:00:00Z'))
    expect(dues.map(({ id, tenant }) => [id, tenant])).toEqual([
      ['at@2026-07-01T06:00:00.000Z', 'anna'],
      ['cron@2026-07-01T07:00:00.000Z', 'anna'],
      ['other@2026-07-01T12:30:00.000Z', 'anna'],
    ])
  })

  test("the app's schema types and checks the payload", async () => {
    const folder = temporaryFolder()
    const payload = standardSchema((value) =>
      typeof (value as { n?: unknown } | null)?.n === 'number'
        ? { value: value as { n: number; label?: string | undefined } }
        : { issues: [{ message: 'must be a number', path: ['n'] }] },
    )
    const workspace = await Workspace.open(folder, { schemas: { payload } })
    const added = await workspace.schedules.add({ text: 'x', every: '1h', payload: { n: 1 } })
    expectTypeOf(added.payload).toEqualTypeOf<{ n: number; label?: string | undefined } | undefined>()
    // So that a due can be the body of a message.
    expectTypeOf<Due>().toExtend<Json>()
    await expect(
      workspace.schedules.add({ text: 'x', every: '1h', payload: {} as never }),
    ).rejects.toMatchObject({
      code: 'INVALID_SCHEDULE',
    })
  })
})
