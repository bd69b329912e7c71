import { linkSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { appendLine } from '../src/append-line.js'
import { finishAbandoned, finishArchives } from '../src/archive-finish.js'
import { temporaryFolder } from './support/folder.js'

vi.mock('../src/archive-finish.js', { spy: true })

test('a tenant that forges one unfinished archive after the other holds up an append for ten seconds in all', async () => {
  const folder = temporaryFolder()
  const session = join(folder, 'session.jsonl')
  writeFileSync(session, '')
  mkdirSync(join(folder, 'session-archive'))
  linkSync(session, join(folder, 'session-archive/forged.next'))
  let now = 0
  vi.spyOn(performance, 'now').mockImplementation(() => now)
  onTestFinished(() => void vi.restoreAllMocks())
  vi.mocked(finishAbandoned).mockResolvedValue(false)
  vi.mocked(finishArchives).mockImplementation(async () => {
    now += 4000
    return true
  })

  await appendLine(folder, Buffer.from('{}\n'), () => {})
  expect(vi.mocked(finishArchives).mock.calls).toEqual(Array(3).fill([folder, 10_000]))
  expect(readFileSync(session, 'utf8')).toBe('{}\n')
})
