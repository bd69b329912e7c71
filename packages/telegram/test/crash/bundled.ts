import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build, type Options } from 'tsup'
import { afterAll, beforeAll } from 'vitest'

const from = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

/** What is not the project's own is imported from where it is: core's dependencies are not this package's. */
const dependenciesWhereTheyAre: NonNullable<Options['esbuildPlugins']>[number] = {
  name: 'dependencies-where-they-are',
  setup({ onResolve, resolve }) {
    onResolve({ filter: /^[^./]/ }, async ({ path, kind, importer, pluginData }) => {
      if (path.startsWith('node:') || pluginData === 'resolving') return undefined
      const found = await resolve(path, { kind, resolveDir: dirname(importer), pluginData: 'resolving' })
      return found.path.includes('/node_modules/') ? { path: found.path, external: true } : found
    })
  },
}

/** A program for processes of their own, bundled from the code as it is now. Returns its path once the tests run. */
export function useBundled(entry: string): () => string {
  let folder: string
  beforeAll(async () => {
    const cache = from('../../node_modules/.cache/')
    await mkdir(cache, { recursive: true })
    folder = await mkdtemp(join(cache, 'gateway-'))
    await build({
      entry: { program: entry },
      outDir: folder,
      format: 'esm',
      outExtension: () => ({ js: '.mjs' }),
      noExternal: [/.*/],
      esbuildPlugins: [dependenciesWhereTheyAre],
      tsconfig: from('../../../../tsconfig.json'),
      config: false,
      silent: true,
    })
  })
  afterAll(() => rm(folder, { recursive: true }))
  return () => join(folder, 'program.mjs')
}
