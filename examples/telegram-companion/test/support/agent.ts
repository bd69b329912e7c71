import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'tsup'
import { afterAll, beforeAll } from 'vitest'

const from = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

/** Bundles the agent as it is now, once for the tests of a file. Returns the folder, which has `agent.mjs`. */
export function useAgent(): () => string {
  let folder = ''
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'companion-agent-'))
    // A box has a uid of its own, and has to read it.
    await chmod(folder, 0o755)
    await build({
      entry: { agent: from('../../src/agent/main.ts') },
      outDir: folder,
      format: 'esm',
      noExternal: [/.*/],
      outExtension: () => ({ js: '.mjs' }),
      tsconfig: from('../../../../tsconfig.json'),
      config: false,
      silent: true,
    })
  })
  afterAll(() => rm(folder, { recursive: true }))
  return () => folder
}
