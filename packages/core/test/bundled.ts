import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'tsup'
import { afterAll, beforeAll } from 'vitest'

const from = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

/** A program for processes of their own, bundled from the code as it is now. Returns its path once the tests run. */
export function useBundled(entry: string): () => string {
  let folder: string
  beforeAll(async () => {
    // Beneath the package, so that what is not bundled is found: the lock is native code.
    const cache = from('../node_modules/.cache/')
    await mkdir(cache, { recursive: true })
    folder = await mkdtemp(join(cache, 'gateway-'))
    await build({
      entry: { program: entry },
      outDir: folder,
      format: 'esm',
      outExtension: () => ({ js: '.mjs' }),
      skipNodeModulesBundle: true,
      tsconfig: from('../../../tsconfig.json'),
      config: false,
      silent: true,
    })
  })
  afterAll(() => rm(folder, { recursive: true }))
  return () => join(folder, 'program.mjs')
}
