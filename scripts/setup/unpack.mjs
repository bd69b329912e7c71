import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { Apt } from './apt.mjs'
import { quietly } from './commands.mjs'
import { CACHE } from './paths.mjs'

/** Every machine has these: the ones in use, and no others beside them. */
const BASE_LIBRARIES = ['libc6', 'libgcc-s1', 'libstdc++6']

/** Chromium's in usr/bin is a script that wants the rest of it to be installed. */
const PROGRAM_FOLDERS = ['usr/lib/chromium', 'usr/sbin', 'usr/bin', 'sbin', 'bin']
const LIBRARY_FOLDERS = ['x86_64-linux-gnu', 'aarch64-linux-gnu'].flatMap((arch) => [
  `usr/lib/${arch}`,
  `usr/lib/${arch}/pulseaudio`,
  `lib/${arch}`,
])

/** @param {string} root a folder of unpacked packages */
export function programPath(root) {
  return PROGRAM_FOLDERS.map((folder) => join(root, folder)).join(':')
}

/** @param {string} root a folder of unpacked packages */
export function libraryPath(root) {
  const folders = LIBRARY_FOLDERS.map((folder) => join(root, folder))
  return folders.filter((folder) => existsSync(folder)).join(':')
}

/**
 * Downloads packages of the distribution and unpacks them, with the libraries that their programs lack on this machine.
 * Nothing is installed. Afterwards `into` is there complete, or not at all.
 *
 * @param {readonly string[]} names
 * @param {string} into
 * @param {AbortSignal} signal
 */
export async function unpackPackages(names, into, signal) {
  // Only one set-up runs at a time, so what an earlier one left half-done is nobody's.
  mkdirSync(CACHE, { recursive: true })
  for (const left of readdirSync(CACHE).filter((name) => name.startsWith('unfinished-')))
    rmSync(join(CACHE, left), { recursive: true })
  const work = mkdtempSync(join(CACHE, 'unfinished-'))
  try {
    const apt = new Apt(work, signal)
    const root = join(work, 'root')
    /** @type {Set<string>} */
    const unpacked = new Set()
    let wanted = [...names]
    while (wanted.length > 0) {
      const debs = join(work, `debs-${unpacked.size}`)
      await apt.download(wanted, debs)
      const files = readdirSync(debs).map((name) => join(debs, name))
      for (const file of files) await quietly('dpkg-deb', ['--extract', file, root], { signal })
      for (const name of wanted) unpacked.add(name)
      const named = lacksLibraries(root) ? await librariesNamedBy(files, signal) : []
      wanted = named.filter((name) => !unpacked.has(name))
    }
    renameSync(root, into)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

/** @param {string} root */
function lacksLibraries(root) {
  const folders = PROGRAM_FOLDERS.map((folder) => join(root, folder)).filter((folder) => existsSync(folder))
  const programs = folders.flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)))
  const env = { ...process.env, LD_LIBRARY_PATH: libraryPath(root) }
  // Its exit code says nothing: a static program or a script is a failure to it.
  return spawnSync('ldd', programs, { env, encoding: 'utf8' }).stdout.includes('=> not found')
}

/**
 * @param {readonly string[]} debs
 * @param {AbortSignal} signal
 * @returns {Promise<string[]>} the library packages that these depend on
 */
async function librariesNamedBy(debs, signal) {
  const names = []
  for (const deb of debs) {
    const field = await quietly('dpkg-deb', ['--field', deb, 'Depends'], { signal })
    names.push(...field.split(',').map((each) => each.trim().split(/[ (:|]/)[0] ?? ''))
  }
  return [...new Set(names)].filter((name) => name.startsWith('lib') && !BASE_LIBRARIES.includes(name))
}
