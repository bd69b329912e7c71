import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build, type Options } from 'tsup'
import { afterAll, beforeAll, onTestFinished } from 'vitest'

const from = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

type Plugin = NonNullable<Options['esbuildPlugins']>[number]

export interface Program {
  /** All it has printed. */
  output(): string
  /** Resolves once it has printed that. */
  printed(what: RegExp): Promise<void>
  kill(signal: 'SIGTERM' | 'SIGKILL'): void
  /** Its exit code. */
  readonly ended: Promise<number | null>
}

/** The program behind `npm run companion`, as it is now, in processes of its own. */
export function useProgram(): (env: NodeJS.ProcessEnv) => Program {
  let folder = ''
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'companion-program-'))
    await build({
      entry: { main: from('../../src/gateway/main.ts') },
      outDir: folder,
      format: 'esm',
      outExtension: () => ({ js: '.mjs' }),
      noExternal: [/.*/],
      esbuildPlugins: [PACKAGES_BY_PATH],
      tsconfig: from('../../../../tsconfig.json'),
      config: false,
      silent: true,
    })
  })
  afterAll(() => rm(folder, { recursive: true }))
  return (env) => started(join(folder, 'main.mjs'), env)
}

/** Bundles our own code, and leaves packages where they are: some are native, or resolve only from who depends on them. */
const PACKAGES_BY_PATH: Plugin = {
  name: 'packages-by-path',
  setup({ onResolve, resolve }) {
    onResolve({ filter: /^[^./]/ }, async ({ path, pluginData, ...about }) => {
      const isOwn = path.startsWith('@tenantbox/') || path.startsWith('node:') || about.kind === 'entry-point'
      if (isOwn || pluginData === PACKAGES_BY_PATH) return undefined
      const found = await resolve(path, { ...about, pluginData: PACKAGES_BY_PATH })
      return { path: found.path, external: true, errors: found.errors }
    })
  },
}

function started(file: string, env: NodeJS.ProcessEnv): Program {
  const child = spawn(process.execPath, [file], { env: { PATH: process.env.PATH, ...env } })
  onTestFinished(() => void child.kill('SIGKILL'))
  let output = ''
  const listeners = new Set<() => void>()
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
      for (const listener of listeners) listener()
    })
  const ended = endOf(child)
  return {
    output: () => output,
    ended,
    kill: (signal) => void child.kill(signal),
    printed: (what) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (what.test(output)) resolve()
        }
        listeners.add(look)
        look()
        ended.then(() => reject(new Error(`It ended without ${what}: ${output}`)), reject)
      }),
  }
}

async function endOf(child: ChildProcess): Promise<number | null> {
  const [code] = await once(child, 'close')
  return code as number | null
}
