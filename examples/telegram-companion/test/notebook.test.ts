import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { Notebook } from '../src/notebook/notebook.js'

it('takes a time zone also where somebody has written one that is none into the file', async () => {
  const home = await mkdtemp(join(tmpdir(), 'companion-notebook-'))
  onTestFinished(() => rm(home, { recursive: true }))
  await writeFile(join(home, 'MEMORY.md'), '# Settings\n\n- Time zone: Moon/Sea\n')
  const { settings, workspace } = await Notebook.open(home)
  expect(await settings.timezone()).toBeUndefined()
  await settings.setTimezone('Europe/Berlin')
  expect(await settings.timezone()).toBe('Europe/Berlin')
  await settings.setTimezone('Asia/Kolkata')
  expect((await workspace.memory.read()).text).toBe('# Settings\n\n- Time zone: Asia/Kolkata\n')
})
