import { appendFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { all, temporaryWorkspace } from './support/folder.js'

const MIB = 2 ** 20
const ENTRY = '{"id":"good","at":"2026-01-01T00:00:00Z","role":"user","content":"x"}\n'
const refused = { code: 'INVALID_FILE', details: { path: 'session.jsonl' } }

function fill(path: string, line: string, bytes: number): void {
  const block = line.repeat(MIB)
  for (let size = 0; size < bytes; size += block.length) appendFileSync(path, block)
}

/** What costs a tenant nothing, or next to nothing, and would cost the gateway minutes. */
const fillings: Readonly<Record<string, (path: string) => void>> = {
  'four gigabytes of zeros': (path) => truncateSync(path, 4096 * MIB - 1000),
  'zeros with an entry now and then': (path) => {
    for (let size = 64 * MIB; size < 1024 * MIB; size += 64 * MIB) {
      truncateSync(path, size)
      appendFileSync(path, `\n${ENTRY}`)
    }
  },
  'ten million lines that are no entries': (path) => fill(path, '{}\n', 30 * MIB),
  'lines without anything in them': (path) => fill(path, '\n', 130 * MIB),
}

test.each(Object.keys(fillings))(
  'a session full of %s can be appended to, and reading it to its end is a typed error',
  {
    timeout: 240_000,
  },
  async (name) => {
    const { workspace, folder } = await temporaryWorkspace()
    const path = join(folder, 'session.jsonl')
    writeFileSync(path, ENTRY)
    fillings[name]?.(path)
    const { size } = statSync(path)
    await workspace.session.append({ id: 'end', role: 'user', content: 'x' })
    expect(await workspace.session.tail(1)).toMatchObject([{ id: 'end' }])
    await expect(workspace.session.tail(50)).rejects.toMatchObject(refused)
    await expect(all(workspace.session.entries())).rejects.toMatchObject(refused)
    await expect(workspace.session.archive('end')).rejects.toMatchObject(refused)
    await expect(workspace.session.archive('nobody')).rejects.toMatchObject(refused)
    expect(statSync(path).size).toBeGreaterThan(size)
  },
)

test('who follows a session is told so too, and may follow it anew', async () => {
  const { workspace, folder } = await temporaryWorkspace()
  const path = join(folder, 'session.jsonl')
  writeFileSync(path, ENTRY)
  const followed = workspace.session.follow()[Symbol.asyncIterator]()
  truncateSync(path, 1024 * MIB)
  await expect(followed.next()).rejects.toMatchObject(refused)
  const anew = workspace.session.follow()[Symbol.asyncIterator]()
  await workspace.session.append({ id: 'end', role: 'user', content: 'x' })
  expect(await anew.next()).toMatchObject({ value: { id: 'end' } })
  await anew.return?.()
})

test('what is no rubbish is read however much it is', { timeout: 240_000 }, async () => {
  const { workspace, folder } = await temporaryWorkspace()
  // Three bytes a character: more than the limit in all.
  const long = ENTRY.replace('"x"', `"${'漢'.repeat(80_000)}"`)
  const path = join(folder, 'session.jsonl')
  for (let written = 0; written < 160 * MIB; written += 240_000) appendFileSync(path, long)
  await workspace.session.append({ id: 'end', role: 'user', content: 'x' })
  expect(await workspace.session.tail(9, { thread: 'none' })).toEqual([])
  expect((await workspace.session.archive('end')).entries).toBeGreaterThan(600)
})
