import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { entryFault, parseEntry } from '../src/entry-check.js'
import type { NewEntry } from '../src/index.js'
import { checkSchedule, parseSchedules } from '../src/schedule-check.js'
import { temporaryWorkspace } from './support/folder.js'

interface ObjectSchema {
  required: string[]
  properties: Record<string, unknown>
}

const schema = (name: string) =>
  JSON.parse(readFileSync(new URL(`../schemas/${name}.schema.json`, import.meta.url), 'utf8'))

const RFC_3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/
const ajv = new Ajv2020({ formats: { 'date-time': RFC_3339 } })
const RUNS = { numRuns: 5000 }

/** What may stand where something else should. Deleted where undefined. */
const anything = fc.constantFrom<unknown>(
  ...[undefined, null, true, -1, 0, 1.5, '', 'x', 'x'.repeat(257), [], [7], {}, { type: 'text' }],
  ...[{ type: 'text', text: 'x' }, { id: 'x' }, 'user', 'tool', '2026-01-01T00:00:00Z', '5m'],
)

/** One of some values, with a few things in it replaced by others, at any depth. */
function spoilt(values: readonly object[]): fc.Arbitrary<unknown> {
  const change = fc.record({ place: fc.nat(10_000), value: anything })
  return fc.tuple(fc.constantFrom(...values), fc.array(change, { maxLength: 2 })).map(([value, changes]) =>
    changes.reduce<unknown>((result, { place, value }) => {
      const paths = pathsOf(result)
      return replaced(result, paths[place % paths.length] ?? [], value)
    }, value),
  )
}

/** The ways to everything in a value, and to what could be there too. */
function pathsOf(value: unknown): string[][] {
  if (typeof value !== 'object' || value === null) return [[]]
  const below = Object.entries(value).flatMap(([key, item]) => pathsOf(item).map((path) => [key, ...path]))
  return [[], ...below, ...(Array.isArray(value) ? [] : [['future']])]
}

function replaced(value: unknown, [key, ...rest]: readonly string[], by: unknown): unknown {
  if (key === undefined) return by
  if (Array.isArray(value))
    return value.map((item, index) => (`${index}` === key ? replaced(item, rest, by) : item))
  const object = value as Record<string, unknown>
  return { ...object, [key]: replaced(object[key], rest, by) }
}

describe('the published JSON Schemas and the parsers agree', () => {
  test('on what is an entry, and all that is written is one', () => {
    const isValid = ajv.compile(schema('session-entry'))
    const verdicts = { taken: 0, refused: 0 }
    fc.assert(
      fc.property(spoilt(schema('session-entry').examples), (value) => {
        const text = JSON.stringify(value) ?? ''
        const taken = 'entry' in parseEntry(text)
        const written = text !== '' && entryFault(JSON.parse(text), 'write') === undefined
        const valid = text !== '' && isValid(JSON.parse(text))
        expect({ taken: valid, written: written && valid }, text).toEqual({ taken, written })
        verdicts[taken ? 'taken' : 'refused']++
      }),
      RUNS,
    )
    expect(Math.min(verdicts.taken, verdicts.refused)).toBeGreaterThan(RUNS.numRuns / 20)
  })

  test('on what are schedules, but for what only a parser can tell of a text', () => {
    const isValid = ajv.compile(schema('schedules'))
    const verdicts = { taken: 0, refused: 0 }
    fc.assert(
      fc.property(spoilt(schema('schedules').examples), (value) => {
        const text = JSON.stringify(value) ?? '0'
        const raw = parseSchedules(Buffer.from(text))
        const faults =
          typeof raw === 'string'
            ? [raw]
            : raw.schedules.flatMap((item) => {
                const checked = checkSchedule(item, raw.timezone)
                return 'fault' in checked ? [checked.fault] : []
              })
        const valid = isValid(JSON.parse(text))
        if (valid)
          for (const fault of faults) expect(fault, text).toMatch(/timezone|ISO 8601|time that|cron|every/)
        else expect(faults, text).not.toEqual([])
        verdicts[faults.length === 0 ? 'taken' : 'refused']++
      }),
      RUNS,
    )
    expect(Math.min(verdicts.taken, verdicts.refused)).toBeGreaterThan(RUNS.numRuns / 20)
  })
})

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
