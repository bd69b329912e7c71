import { join } from 'node:path'
import { quietly } from './commands.mjs'
import { fingerprint, remember, remembered } from './fingerprint.mjs'
import { ROOT } from './paths.mjs'
import { step } from './terminal.mjs'
import { readManifest, workspacePackages } from './workspace.mjs'

const STAMP = join(ROOT, 'node_modules/.tenantbox-installed')

/**
 * Installs the locked dependencies, unless they are there already.
 *
 * @param {AbortSignal} signal
 */
export async function install(signal) {
  const { packageManager = 'pnpm' } = readManifest(ROOT)
  const manifests = [{ dir: ROOT }, ...workspacePackages()].map(({ dir }) => join(dir, 'package.json'))
  const locks = ['pnpm-lock.yaml', 'pnpm-workspace.yaml'].map((file) => join(ROOT, file))
  const wanted = fingerprint(
    [...locks, ...manifests],
    `${packageManager} ${process.arch} ${process.versions.modules}`,
  )
  if (remembered(STAMP) === wanted) return
  step(`Installing dependencies with ${packageManager}`)
  // Nobody is there to say yes when an older node_modules has to make way.
  const args = ['--yes', packageManager, 'install', '--frozen-lockfile', '--config.confirmModulesPurge=false']
  await quietly('npx', args, { cwd: ROOT, signal })
  remember(STAMP, wanted)
}
