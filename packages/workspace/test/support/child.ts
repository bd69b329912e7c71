import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'tsup'
import { afterAll } from 'vitest'

/** Bundles a program of this folder, so that a bare node can run it; call it once per test file. */
export async function buildProgram(name: string): Promise<string> {
  const outDir = mkdtempSync(join(tmpdir(), 'tenantbox-program-'))
  afterAll(() => rmSync(outDir, { recursive: true, force: true }))
  await build({
    entry: { program: fileURLToPath(new URL(`${name}.ts`, import.meta.url)) },
    outDir,
    format: 'esm',
    target: 'node20.19',
    platform: 'node',
    noExternal: [/.*/],
    config: false,
    silent: true,
    outExtension: () => ({ js: '.mjs' }),
  })
  return join(outDir, 'program.mjs')
}

/** Runs a program until the callback ends, then kills it: as hard as can be. */
export async function withProgram<T>(
  program: string,
  args: readonly string[],
  use: (child: ChildProcess) => Promise<T>,
): Promise<T> {
  const child = spawn(process.execPath, [program, ...args], { stdio: ['pipe', 'pipe', 'inherit'] })
  const exited = once(child, 'exit')
  try {
    return await use(child)
  } finally {
    child.kill('SIGKILL')
    await exited
  }
}

/** Resolves when the program has said something. */
export async function ready(child: ChildProcess): Promise<void> {
  if (!child.stdout) throw new Error('The program has no output.')
  await Promise.race([
    once(child.stdout, 'data'),
    once(child, 'exit').then(() => {
      throw new Error('The program has ended.')
    }),
  ])
}
