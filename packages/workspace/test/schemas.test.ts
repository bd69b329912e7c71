import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { NewEntry } from '../src/index.js'
import { temporaryWorkspace } from './support/folder.js'

interface ObjectSchema {
  required: string[]
  properties: Record<string, unknown>
}

const schema = (name: string) =>
  JSON.parse(readFileSync(new URL(`../schemas/${name}.schema.json`, import.meta.url), 'utf8'))

describe('the published JSON Schemas', () => {
  test('of a session: what they show is taken, all their keys occur, and none that is required may be missing', async () => {
    const { workspace, folder } = await temporaryWorkspace()
    const { examples, $defs } = schema('session-entry')
    const seen = new Set<string>()
    for (const example of examples as (NewEntry & Record<string, unknown>)[]) {
      expect(await workspace.session.append(example)).toEqual(example)
      const { required } = $defs[example.role] as ObjectSchema
      for (const key of Object.keys(example)) seen.add(`${example.role}.${key}`)
      for (const key of required) {
        writeFileSync(join(folder, 'session.jsonl'), `${JSON.stringify({ ...example, [key]: undefined })}\n`)
        expect(await workspace.session.tail(1), `${example.role} without ${key}`).toEqual([])
      }
    }
    const known = ['user', 'assistant', 'tool', 'system'].flatMap((role) =>
      Object.keys(($defs[role] as ObjectSchema).properties).map((key) => `${role}.${key}`),
    )
    const common = ['thread', 'turn', 'replyTo', 'meta']
    expect(known.filter((key) => !seen.has(key) && !common.includes(key.split('.')[1] ?? ''))).toEqual([])
    expect([...seen].filter((key) => !known.includes(key))).toEqual([])
  })

  test('of schedules: likewise', async () => {
    const { workspace, folder, problems } = await temporaryWorkspace()
    const { examples, $defs } = schema('schedules')
    const { required, properties } = $defs.schedule as ObjectSchema
    for (const example of examples) {
      writeFileSync(join(folder, 'SCHEDULES.json'), JSON.stringify(example))
      expect(await workspace.schedules.list()).toMatchObject(example.schedules)
      expect(problems).toEqual([])
      const seen = new Set(example.schedules.flatMap((one: object) => Object.keys(one)))
      expect(seen).toEqual(new Set(Object.keys(properties)))
      for (const key of required) {
        const [first] = example.schedules
        const schedules = [{ ...first, [key]: undefined }]
        writeFileSync(join(folder, 'SCHEDULES.json'), JSON.stringify({ ...example, schedules }))
        expect(await workspace.schedules.list(), `without ${key}`).toEqual([])
      }
      problems.length = 0
    }
  })

  test('of memory: its example has the sections it shows', async () => {
    const { workspace } = await temporaryWorkspace()
    const { examples, maxLength } = schema('memory')
    await workspace.memory.write(examples[0])
    expect((await workspace.memory.sections()).map(({ heading }) => heading)).toEqual(['Anna', 'Cat'])
    await expect(workspace.memory.write('x'.repeat(maxLength + 1))).rejects.toMatchObject({
      code: 'TOO_LARGE',
    })
  })
})
