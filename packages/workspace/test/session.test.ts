import { appendFileSync, readFileSync, renameSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, expectTypeOf, test } from 'vitest'
import { type Json, type SessionEntry, Workspace } from '../src/index.js'
import { all, temporaryFolder, temporaryWorkspace } from './support/folder.js'
import { standardSchema } from './support/schema.js'

const entry = (id: string, content = id) =>
  ({ id, at: '2026-01-01T00:00:00Z', role: 'user', content }) as const
const line = (id: string, content?: string) => `${JSON.stringify(entry(id, content))}\n`
const ids = (entries: readonly SessionEntry[]) => entries.map(({ id }) => id)

describe('append', () => {
  test('fills in id and time, and the entry is one line', async () => {
    const { workspace, folder } = await temporaryWorkspace()
    const written = await workspace.session.append({ role: 'user', content: 'a\nb\u2028' })
    expect(written).toMatchObject({ role: 'user', content: 'a\nb\u2028' })
    expect(written.id).not.toBe('')
    expect(Math.abs(Date.parse(written.at) - Date.now())).toBeLessThan(60_000)
    expect(readFileSync(join(folder, 'session.jsonl'), 'utf8')).toBe(`${JSON.stringify(written)}\n`)
    expect(await workspace.session.tail(1)).toEqual([written])
  })

  test('every kind of entry comes back as it was', async () => {
    const { workspace } = await temporaryWorkspace()
    const written = [
      await workspace.session.append({
        role: 'user',
        content: [
          { type: 'text', text: 'look' },
          { type: 'file', path: 'inbox/a.png', mediaType: 'image/png', bytes: 3, caption: 'a' },
        ],
        author: { id: '1', name: 'Anna' },
        thread: 't',
      }),
      await workspace.session.append({
        role: 'assistant',
        content: [
          { type: 'reasoning', text: 'hm', provider: { signature: 'x' } },
          { type: 'tool-call', callId: 'c', name: 'now', input: {} },
          { type: 'data', name: 'chart', data: [1, 2] },
        ],
        state: 'complete',
        usage: { input: 1, output: 2 },
      }),
      await workspace.session.append({
        role: 'tool',
        callId: 'c',
        content: '12:00',
        output: { now: 12 },
        isError: false,
      }),
      await workspace.session.append({
        role: 'system',
        content: 'so far',
        kind: 'summary',
        covers: 'x',
        meta: { a: [] },
      }),
    ]
    expect(await workspace.session.tail(9)).toEqual(written)
    expect(await all(workspace.session.entries())).toEqual(written)
    expect(await all(workspace.session.entries({ reverse: true }))).toEqual(written.toReversed())
  })

  test('the order of calls is kept', async () => {
    const { workspace } = await temporaryWorkspace()
    await Promise.all(Array.from({ length: 200 }, (_, index) => workspace.session.append(entry(`${index}`))))
    expect(ids(await all(workspace.session.entries()))).toEqual(
      Array.from({ length: 200 }, (_, index) => `${index}`),
    )
  })

  test.each([
    ['no role', { content: 'x' }],
    ['an unknown key', { role: 'user', content: 'x', colour: 'red' }],
    ['a part that is none', { role: 'user', content: [{ type: 'image' }] }],
    ['an empty id', { role: 'user', content: 'x', id: '' }],
    ['a time without an offset', { role: 'user', content: 'x', at: '2026-01-01T00:00:00' }],
    ['a cycle', cyclic()],
    ['a big integer', { role: 'user', content: 'x', meta: 1n }],
    ['a __proto__ in meta', { role: 'user', content: 'x', meta: JSON.parse('{"__proto__":{"a":1}}') }],
    ['deep nesting', { role: 'user', content: 'x', meta: JSON.parse('['.repeat(500) + ']'.repeat(500)) }],
    ['null', null],
  ])('%s is refused', async (_name, invalid) => {
    const { workspace } = await temporaryWorkspace()
    await expect(workspace.session.append(invalid as never)).rejects.toMatchObject({ code: 'INVALID_ENTRY' })
    expect(await workspace.session.tail(1)).toEqual([])
  })

  test('one that is refused disturbs none that is under way', async () => {
    const { workspace } = await temporaryWorkspace()
    const outcomes = await Promise.allSettled([
      workspace.session.append(entry('a')),
      workspace.session.append({ role: 'nobody' } as never),
      workspace.session.append(entry('b')),
    ])
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(ids(await workspace.session.tail(5))).toEqual(['a', 'b'])
  })

  test('a line may have 256 KiB and not one byte more', async () => {
    const { workspace } = await temporaryWorkspace()
    const room = 256 * 1024 - Buffer.byteLength(line('fits', ''))
    await workspace.session.append(entry('fits', 'x'.repeat(room)))
    await expect(workspace.session.append(entry('fits', 'x'.repeat(room + 1)))).rejects.toMatchObject({
      code: 'TOO_LARGE',
      details: { limit: 256 * 1024 },
    })
    expect(ids(await workspace.session.tail(5))).toEqual(['fits'])
  })
})

describe('damage', () => {
  test('a torn tail is passed over and reported, and healed by the next append', async () => {
    const { workspace, folder, problems } = await temporaryWorkspace()
    writeFileSync(join(folder, 'session.jsonl'), `${line('a')}{"id":"torn","at":"20`)
    expect(ids(await workspace.session.tail(5))).toEqual(['a'])
    expect(problems).toMatchObject([{ file: 'session.jsonl', offset: line('a').length }])
    await workspace.session.append(entry('b'))
    expect(ids(await workspace.session.tail(5))).toEqual(['a', 'b'])
  })

  test('bad lines hide no others, in both directions', async () => {
    const { workspace, folder, problems } = await temporaryWorkspace()
    const bad = [
      'nonsense',
      '{"id":1}',
      '[]',
      'null',
      '',
      '   ',
      `{"id":"p","at":"2026-01-01T00:00:00Z","role":"user","content":"x","__proto__":{"polluted":1}}`,
      `{"id":"d","at":"2026-01-01T00:00:00Z","role":"user","content":"x","meta":${'['.repeat(1e4)}${']'.repeat(1e4)}}`,
      `"${'x'.repeat(3 * 1024 * 1024)}"`,
    ]
    const bytes = Buffer.concat([
      Buffer.from(`\ufeff${line('first')}${bad.join('\n')}\r\n${line('second').trimEnd()}\r\n`),
      Buffer.of(0x22, 0xff, 0x22, 0x0a),
      Buffer.from(line('third')),
    ])
    writeFileSync(join(folder, 'session.jsonl'), bytes)
    expect(ids(await all(workspace.session.entries()))).toEqual(['first', 'second', 'third'])
    expect(problems).toHaveLength(8)
    expect(ids(await all(workspace.session.entries({ reverse: true })))).toEqual(['third', 'second', 'first'])
    expect(problems).toHaveLength(16)
    expect(({} as Record<string, unknown>).polluted).toBeUndefined()
  })

  test('a time without an offset, as others may write it, is read', async () => {
    const { workspace, folder } = await temporaryWorkspace()
    writeFileSync(join(folder, 'session.jsonl'), line('a').replace('00Z', '00'))
    expect(ids(await workspace.session.tail(1))).toEqual(['a'])
  })

  test('ten thousand bad lines are twenty problems', async () => {
    const { workspace, folder, problems } = await temporaryWorkspace()
    writeFileSync(join(folder, 'session.jsonl'), `${'x\n'.repeat(10_000)}${line('a')}`)
    expect(ids(await workspace.session.tail(2))).toEqual(['a'])
    expect(problems).toHaveLength(20)
  })

  test('any sequence of appends, tears and foreign writers keeps every whole entry', async () => {
    const step = fc.oneof(
      { weight: 3, arbitrary: fc.constant({ kind: 'append' as const, cut: 0 }) },
      { weight: 2, arbitrary: fc.nat(200).map((cut) => ({ kind: 'tear' as const, cut })) },
      { weight: 1, arbitrary: fc.constant({ kind: 'foreign' as const, cut: 0 }) },
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const folder = temporaryFolder()
        const workspace = await Workspace.open(folder)
        const path = join(folder, 'session.jsonl')
        const expected: string[] = []
        const possible = new Set<string>()
        let torn = false
        for (const [index, { kind, cut }] of steps.entries()) {
          const id = `${kind}-${index}`
          if (kind === 'append') await workspace.session.append(entry(id))
          else {
            const text = line(id)
            const length = kind === 'tear' ? cut % text.length : text.length
            // A foreign writer ends a torn line before its own, as the format asks for.
            appendFileSync(path, (torn ? '\n' : '') + text.slice(0, length))
            // Cut exactly before its newline, the entry is whole once somebody else ends the line.
            if (length === text.length - 1) possible.add(id)
          }
          torn = kind === 'tear' && !(cut % line(id).length === 0)
          if (kind !== 'tear') expected.push(id)
        }
        const found = ids(await all(workspace.session.entries()))
        expect(found.filter((id) => !possible.has(id))).toEqual(expected)
        expect(ids(await workspace.session.tail(1000))).toEqual(found)
      }),
      { numRuns: 150 },
    )
  })
})

describe('reading', () => {
  test('tail takes the last n, also by thread', async () => {
    const { workspace } = await temporaryWorkspace()
    for (let index = 0; index < 30; index++)
      await workspace.session.append({ ...entry(`${index}`), thread: index % 3 === 0 ? 'a' : 'b' })
    expect(ids(await workspace.session.tail(3))).toEqual(['27', '28', '29'])
    expect(ids(await workspace.session.tail(2, { thread: 'a' }))).toEqual(['24', '27'])
    expect(await workspace.session.tail(0)).toEqual([])
    await expect(workspace.session.tail(-1)).rejects.toMatchObject({ code: 'INVALID_OPTION' })
  })

  test('entries begin at an id or a time', async () => {
    const { workspace } = await temporaryWorkspace()
    for (let hour = 0; hour < 5; hour++)
      await workspace.session.append({
        id: `e${hour}`,
        at: `2026-01-01T0${hour}:00:00Z`,
        role: 'user',
        content: 'x',
      })
    const from = async (from: string, reverse: boolean) =>
      ids(await all(workspace.session.entries({ from, reverse })))
    expect(await from('e3', false)).toEqual(['e3', 'e4'])
    expect(await from('e1', true)).toEqual(['e1', 'e0'])
    expect(await from('2026-01-01T02:30:00Z', false)).toEqual(['e3', 'e4'])
    expect(await from('2026-01-01T01:30:00+00:00', true)).toEqual(['e1', 'e0'])
    await expect(from('nobody', false)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  test('lines of every length around the block sizes come back, in both directions', async () => {
    const { workspace, folder } = await temporaryWorkspace()
    const sizes = [
      1, 100, 4095, 4096, 4097, 32_767, 32_768, 65_536, 200_000, 261_000, 262_000, 5, 262_143, 70_000,
    ]
    const lines = Array.from({ length: 5 }, () => sizes)
      .flat()
      .map((size, index) => line(`${index}`, 'é'.repeat(Math.max(0, Math.floor((size - 90) / 2)))))
    writeFileSync(join(folder, 'session.jsonl'), lines.join(''))
    const forward = ids(await all(workspace.session.entries()))
    expect(forward).toEqual(lines.map((_, index) => `${index}`))
    expect(ids(await all(workspace.session.entries({ reverse: true })))).toEqual(forward.toReversed())
  })

  test("the app's schema types and checks meta, and may change it", async () => {
    const folder = temporaryFolder()
    const problems: string[] = []
    const meta = standardSchema((value) => {
      const chat = (value as { chat?: unknown } | null)?.chat
      return typeof chat === 'number'
        ? { value: { chat } }
        : { issues: [{ message: 'must be a number', path: ['chat'] }] }
    })
    const workspace = await Workspace.open(folder, {
      schemas: { meta },
      onProblem: ({ message }) => problems.push(message),
    })
    const written = await workspace.session.append({ role: 'user', content: 'x', meta: { chat: 7 } })
    expectTypeOf(written.meta).toEqualTypeOf<{ chat: number } | undefined>()
    expectTypeOf<Parameters<typeof workspace.session.append>[0]['meta']>().toEqualTypeOf<
      typeof written.meta
    >()
    // What has no schema of its own may be any JSON.
    expectTypeOf<Parameters<typeof workspace.schedules.add>[0]['payload']>().toEqualTypeOf<Json | undefined>()
    expect(written.meta).toEqual({ chat: 7 })
    const wrong = { role: 'user', content: 'x', meta: { chat: 'seven' } } as never
    await expect(workspace.session.append(wrong)).rejects.toMatchObject({ code: 'INVALID_ENTRY' })
    appendFileSync(
      join(folder, 'session.jsonl'),
      `${JSON.stringify({ ...entry('z'), meta: { chat: 'x' } })}\n`,
    )
    expect(await workspace.session.tail(5)).toEqual([written])
    expect(problems.join()).toContain('chat: must be a number')
  })
})

describe('follow', () => {
  test('yields what is added from the call on, by whomever', async () => {
    const { workspace, folder } = await temporaryWorkspace()
    await workspace.session.append(entry('before'))
    const followed = workspace.session.follow()[Symbol.asyncIterator]()
    await workspace.session.append(entry('one'))
    appendFileSync(join(folder, 'session.jsonl'), line('two'))
    expect((await followed.next()).value).toMatchObject({ id: 'one' })
    expect((await followed.next()).value).toMatchObject({ id: 'two' })
    const waiting = followed.next()
    await workspace.session.append(entry('three'))
    expect((await waiting).value).toMatchObject({ id: 'three' })
    await followed.return?.()
  })

  test('a torn line is yielded neither then nor later', async () => {
    const { workspace, folder } = await temporaryWorkspace()
    const followed = workspace.session.follow()[Symbol.asyncIterator]()
    appendFileSync(join(folder, 'session.jsonl'), '{"id":"torn"')
    const waiting = followed.next()
    await workspace.session.append(entry('whole'))
    expect((await waiting).value).toMatchObject({ id: 'whole' })
    await followed.return?.()
  })

  test('goes on across an archive, and after the file was truncated or replaced', async () => {
    const { workspace, folder } = await temporaryWorkspace()
    for (const id of ['a', 'b', 'c']) await workspace.session.append(entry(id))
    const followed = workspace.session.follow()[Symbol.asyncIterator]()
    const next = async () => (await followed.next()).value?.id
    await workspace.session.append(entry('d'))
    await workspace.session.archive('b')
    await workspace.session.append(entry('e'))
    expect([await next(), await next()]).toEqual(['d', 'e'])
    await workspace.session.append(entry('f'))
    await workspace.session.archive('f')
    expect(await next()).toBe('f')
    truncateSync(join(folder, 'session.jsonl'), 0)
    await workspace.session.append(entry('g'))
    expect(await next()).toBe('g')
    writeFileSync(join(folder, 'other'), line('g') + line('h'))
    renameSync(join(folder, 'other'), join(folder, 'session.jsonl'))
    expect(await next()).toBe('h')
    await followed.return?.()
  })

  test('says only once what is no entry, and goes on behind it', async () => {
    const { workspace, folder, problems } = await temporaryWorkspace()
    const followed = workspace.session.follow()[Symbol.asyncIterator]()
    appendFileSync(join(folder, 'session.jsonl'), `${line('a')}"${'x'.repeat(300_000)}"\n\n`)
    expect((await followed.next()).value).toMatchObject({ id: 'a' })
    const waiting = followed.next()
    appendFileSync(join(folder, 'session.jsonl'), line('b'))
    expect((await waiting).value).toMatchObject({ id: 'b' })
    expect(problems).toHaveLength(1)
    await followed.return?.()
  })

  test('ends when aborted or left, also in the middle of a wait', async () => {
    const { workspace } = await temporaryWorkspace()
    const controller = new AbortController()
    const following = all(workspace.session.follow({ signal: controller.signal }))
    await workspace.session.append(entry('a'))
    controller.abort()
    await following
    const followed = workspace.session.follow()[Symbol.asyncIterator]()
    const waiting = followed.next()
    await followed.return?.()
    expect(await waiting).toEqual({ done: true, value: undefined })
  })
})

function cyclic(): object {
  const value: Record<string, unknown> = { role: 'user', content: 'x' }
  value.meta = value
  return value
}
