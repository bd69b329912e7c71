import { once } from 'node:events'
import { beforeAll, expect, test } from 'vitest'
import { buildProgram, withProgram } from './support/child.js'
import { temporaryWorkspace } from './support/folder.js'

const PROCESSES = 4
const EDITS = 60

let editor: string
beforeAll(async () => {
  editor = await buildProgram('editor')
})

test(`${PROCESSES} processes edit the same files ${EDITS} times each: no change is lost`, {
  timeout: 120_000,
}, async () => {
  const { workspace, folder } = await temporaryWorkspace()
  const names = Array.from({ length: PROCESSES }, (_, index) => `p${index}`)
  await Promise.all(
    names.map((name) =>
      withProgram(editor, [folder, name, `${EDITS}`], async (child) => {
        expect(await once(child, 'exit')).toEqual([0, null])
      }),
    ),
  )
  const expected = names
    .flatMap((name) => Array.from({ length: EDITS }, (_, round) => `${name}-${round}`))
    .sort()
  expect((await workspace.memory.read()).text.trim().split('\n').sort()).toEqual(expected)
  expect((await workspace.schedules.list()).map(({ id }) => id).sort()).toEqual(expected)
})
