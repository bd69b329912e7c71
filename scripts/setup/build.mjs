import { existsSync } from 'node:fs'
import { basename, join } from 'node:path'
import { quietly } from './commands.mjs'
import { fingerprint, remember, remembered } from './fingerprint.mjs'
import { CACHE, ROOT } from './paths.mjs'
import { step } from './terminal.mjs'
import { workspacePackages } from './workspace.mjs'

/** @typedef {import('./workspace.mjs').WorkspacePackage} WorkspacePackage */

/** What a build depends on besides its own package and those it needs. */
const COMMON = ['pnpm-lock.yaml', 'tsconfig.base.json', 'tsconfig.json'].map((file) => join(ROOT, file))

/**
 * Builds the named packages and, before them, those of this repository that they need. What is up to date is left alone.
 *
 * @param {readonly string[]} names
 * @param {AbortSignal} signal
 */
export async function build(names, signal) {
  const packages = workspacePackages()
  /** @type {Map<string, string>} */
  const fingerprints = new Map()
  for (const { name, dir, needs, builds } of inOrder(names, packages)) {
    const sources = ['src', 'package.json', 'tsup.config.ts'].map((file) => join(dir, file))
    const wanted = fingerprint([...COMMON, ...sources], needs.map((need) => fingerprints.get(need)).join())
    fingerprints.set(name, wanted)
    const stamp = join(CACHE, 'built', basename(dir))
    if (!builds || (remembered(stamp) === wanted && existsSync(join(dir, 'dist')))) continue
    step(`Building ${name}`)
    await quietly('npm', ['run', 'build', '--silent'], { cwd: dir, signal })
    remember(stamp, wanted)
  }
}

/**
 * @param {readonly string[]} names
 * @param {readonly WorkspacePackage[]} packages
 * @returns {WorkspacePackage[]} those named and those they need, each after what it needs
 */
function inOrder(names, packages) {
  const found = names.map((name) => {
    const one = packages.find((each) => each.name === name)
    if (one) return one
    throw new Error(`There is no package ${name} in this repository.`)
  })
  return [...new Set(found.flatMap((one) => [...inOrder(one.needs, packages), one]))]
}
