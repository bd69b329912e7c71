import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build, type Options } from 'tsup'
import { afterAll, beforeAll } from 'vitest'

const from = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

/** Native code, found beneath the package that depends on it: all else is bundled, as one file is read much faster. */
const NATIVE = 'fs-native-extensions'

const nativeWhereItIs: NonNullable<Options['esbuildPlugins']>[number] = {
  name: 'native-where-it-is',
  setup({ onResolve, resolve }) {
    onResolve({ filter: new RegExp(`^${NATIVE}$`) }, async ({ path, kind, importer, pluginData }) => {
      if (pluginData === NATIVE) return undefined
      const found = await resolve(path, { kind, resolveDir: dirname(importer), pluginData: NATIVE })
      return { path: found.path, external: true, errors: found.errors }
    })
  },
}

/** Packages in CommonJS require what is Node's own. */
const REQUIRE = "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);"

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
      esbuildPlugins: [nativeWhereItIs],
      banner: { js: REQUIRE },
      // node-fetch, which grammY uses, knows a signal by the name of its class.
      keepNames: true,
      tsconfig: from('../../../../tsconfig.json'),
      config: false,
      silent: true,
    })
  })
  afterAll(() => rm(folder, { recursive: true }))
  return () => join(folder, 'program.mjs')
}
