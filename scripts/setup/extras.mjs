import { existsSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { hasApt } from './apt.mjs'
import { find } from './commands.mjs'
import { ENGINE_PACKAGES, ENGINE_ROOT, installedPrograms } from './engine.mjs'
import { CACHE } from './paths.mjs'
import { SetupError, step } from './terminal.mjs'
import { libraryPath, programPath, unpackPackages } from './unpack.mjs'

/** What only some tests need, by the packages that hold it: iptables, for an engine that makes networks, gVisor, a browser. */
const EXTRAS = { iptables: ['iptables'], runsc: ['runsc'], chromium: ['chromium', 'chromium-common'] }

/** @param {string} name */
const rootOf = (name) => join(CACHE, 'extras', name)

/**
 * Downloads what is neither installed nor there already. Tests that miss something say so and are left out.
 *
 * @param {AbortSignal} signal
 */
export async function unpackExtras(signal) {
  if (process.getuid?.() !== 0 || !hasApt()) return
  mkdirSync(join(CACHE, 'extras'), { recursive: true })
  // Where the engine in use is somebody else's, some tests still start, kill and fill one of their own.
  if (!installedPrograms() && !existsSync(ENGINE_ROOT))
    await unpackExtra('dockerd', ENGINE_PACKAGES, ENGINE_ROOT, signal)
  for (const [name, packages] of Object.entries(EXTRAS)) {
    const root = rootOf(name)
    if (find(name) || existsSync(root)) continue
    const unpacked = await unpackExtra(name, packages, root, signal)
    // On an installed system an alternative chooses between these; this is Debian's own choice.
    if (unpacked && name === 'iptables')
      for (const program of ['iptables', 'ip6tables'])
        symlinkSync('xtables-nft-multi', join(root, 'usr/sbin', program))
  }
}

/**
 * @param {string} what
 * @param {readonly string[]} packages
 * @param {string} root
 * @param {AbortSignal} signal
 * @returns {Promise<boolean>} whether it is there now
 */
async function unpackExtra(what, packages, root, signal) {
  step(`Downloading ${what} into .cache, for the tests that need it`)
  try {
    await unpackPackages(packages, root, signal)
    return true
  } catch (error) {
    if (!(error instanceof SetupError)) throw error
    step(`${what} cannot be had here, so the tests that need it are left out`)
    return false
  }
}

/**
 * Where a program is, installed or unpacked, and the environment it needs.
 *
 * @param {string} name
 * @returns {{ program: string, env: Record<string, string> } | undefined}
 */
export function findExtra(name) {
  const installed = find(name)
  if (installed) return { program: installed, env: {} }
  const root = rootOf(name)
  const program = find(name, programPath(root))
  if (!program) return undefined
  const libraries = libraryPath(root)
  const plugins = libraries
    .split(':')
    .map((folder) => join(folder, 'xtables'))
    .find((folder) => existsSync(folder) && readdirSync(folder).length > 0)
  return {
    program,
    env: {
      ...(libraries ? { LD_LIBRARY_PATH: libraries } : {}),
      ...(plugins ? { XTABLES_LIBDIR: plugins } : {}),
    },
  }
}
