import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { isWorkspaceError, Workspace } from '../src/index.js'
import { buildProgram, ready, withProgram } from './support/child.js'
import { all, temporaryFolder } from './support/folder.js'

const ROUNDS = Number(process.env.TENANTBOX_RACE_ROUNDS ?? 3000)
const SECRET = 'SECRET'

let swapper: string
beforeAll(async () => {
  swapper = await buildProgram('swapper')
})

test(`in ${ROUNDS} rounds against a process that swaps symlinks in, never one foreign byte is read, written or removed`, {
  timeout: 60_000 + ROUNDS * 20,
}, async () => {
  const folder = temporaryFolder()
  const outside = temporaryFolder()
  const foreign: Record<string, string> = {
    'MEMORY.md': `# ${SECRET}`,
    'session.jsonl': `{"id":"${SECRET}","at":"2026-01-01T00:00:00Z","role":"user","content":"x"}\n`,
    'SCHEDULES.json': `{"version":1,"schedules":[{"id":"${SECRET}","text":"x","enabled":true,"createdAt":"2026-01-01T00:00:00Z","every":"1h"}]}`,
    file: SECRET,
  }
  for (const [name, content] of Object.entries(foreign)) writeFileSync(join(outside, name), content)
  mkdirSync(join(outside, 'dir'))
  writeFileSync(join(outside, 'dir/file'), SECRET)

  const workspace = await Workspace.open(folder)
  const outcomes = { refused: 0, done: 0 }
  const touches: (() => Promise<unknown>)[] = [
    () => workspace.memory.read(),
    () => workspace.memory.append('Facts', 'own'),
    () => workspace.session.tail(5),
    () => workspace.session.append({ role: 'user', content: 'own' }),
    () => workspace.schedules.list(),
    () => workspace.schedules.add({ text: 'own', every: '1h' }),
    () => workspace.files.text('file'),
    () => workspace.files.text('dir/file'),
    () => workspace.files.write('dir/file', 'own'),
    () => workspace.files.remove('dir/file'),
    () => all(workspace.files.list('dir')),
  ]
  await withProgram(swapper, [folder, outside], async (child) => {
    await ready(child)
    for (let round = 0; round < ROUNDS; round++) {
      try {
        const found = await touches[round % touches.length]?.()
        expect(JSON.stringify(found) ?? '').not.toContain(SECRET)
        outcomes.done++
      } catch (error) {
        expect(isWorkspaceError(error), String(error)).toBe(true)
        outcomes.refused++
      }
    }
    expect(child.exitCode).toBeNull()
  })
  // Both must have happened many times, or this has proved nothing.
  expect(outcomes.done).toBeGreaterThan(ROUNDS / 20)
  expect(outcomes.refused).toBeGreaterThan(ROUNDS / 20)
  for (const [name, content] of Object.entries(foreign))
    expect(readFileSync(join(outside, name), 'utf8')).toBe(content)
  expect(readFileSync(join(outside, 'dir/file'), 'utf8')).toBe(SECRET)
  expect(readdirSync(outside).sort()).toEqual([...Object.keys(foreign), 'dir'].sort())
  expect(readdirSync(join(outside, 'dir'))).toEqual(['file'])
})
