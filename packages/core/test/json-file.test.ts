import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { readJson, writeAtomically } from '../src/json-file.js'

it('a file that cannot be replaced leaves nothing of the new one behind', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tenantbox-json-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  await writeAtomically(join(folder, 'good'), '{"a":1}')
  expect(await readJson(join(folder, 'good'))).toEqual({ a: 1 })
  await mkdir(join(folder, 'in-the-way'))
  await expect(writeAtomically(join(folder, 'in-the-way'), '{}')).rejects.toMatchObject({ code: 'EISDIR' })
  expect((await readdir(folder)).sort()).toEqual(['good', 'in-the-way'])
})
