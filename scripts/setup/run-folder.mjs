import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { removeCgroups } from './cgroups.mjs'
import { quietly } from './commands.mjs'
import { cleanSharedEngine } from './shared-engine.mjs'

/** Of a run folder: see `nameFor`. */
const NAME = /^tenantbox-([0-9a-z]+)-([0-9a-z]+)-([0-9a-z]+)$/

/** Of the folder it is made in: sockets are in it, whose paths may have 107 bytes. */
const LONGEST_PARENT = 40

/** In the folder: the socket of the engine to clean up after the run, when that is not the run's own. */
const SHARED = 'shared-engine'

/**
 * Makes the folder that holds all that one run needs while this process lives.
 *
 * @param {string} [sharedSocket] of the engine to clean up afterwards, when it is not the run's own
 * @returns {Promise<string>}
 */
export async function makeRunFolder(sharedSocket) {
  await sweepRunFolders()
  const folder = join(parentFolder(), nameFor(process.pid))
  // Others may pass through: there are tests that act as somebody else.
  mkdirSync(folder, { mode: 0o711 })
  if (sharedSocket) writeFileSync(join(folder, SHARED), sharedSocket)
  mkdirSync(join(folder, 'tmp'))
  return folder
}

/** Removes the folders of processes that died without removing their own. */
export async function sweepRunFolders() {
  const folders = readdirSync(parentFolder()).map((name) => join(parentFolder(), name))
  // What cannot be removed now stays for the next run to try.
  for (const left of folders.filter(isLeftOver)) await removeRunFolder(left).catch(() => undefined)
}

/**
 * Undoes whatever the run left: boxes and images in a shared engine, cgroups, mounts, files. Its processes have ended.
 *
 * @param {string} folder
 */
export async function removeRunFolder(folder) {
  const shared = join(folder, SHARED)
  if (existsSync(shared)) await cleanSharedEngine(readFileSync(shared, 'utf8'), basename(folder))
  await removeCgroups(basename(folder))
  for (const mount of mountsBeneath(folder).reverse()) await quietly('umount', [mount])
  // Root may delete in folders that nobody may write.
  if (process.getuid?.() !== 0) await quietly('chmod', ['-R', 'u+rwX', folder])
  // Tests leave trees deeper than Node can remove.
  await quietly('rm', ['-rf', folder])
}

function parentFolder() {
  return tmpdir().length <= LONGEST_PARENT && !tmpdir().startsWith('/run') ? tmpdir() : '/tmp'
}

/**
 * @param {number} pid
 * @returns {string} tells whose the folder is: the process, when it began, as ids come again, and the namespace that
 * these are counted in, as others count the same for themselves
 */
function nameFor(pid) {
  const namespace = existsSync('/proc/self/ns/pid')
    ? readlinkSync('/proc/self/ns/pid').replace(/\D/g, '')
    : '0'
  const numbers = [namespace, pid, startTimeOf(pid) ?? '0']
  return ['tenantbox', ...numbers.map((number) => Number(number).toString(36))].join('-')
}

/** @param {string} folder */
function isLeftOver(folder) {
  const name = basename(folder)
  const [, namespace, pid] = NAME.exec(name) ?? []
  if (namespace === undefined || pid === undefined) return false
  const expected = nameFor(Number.parseInt(pid, 36))
  if (name === expected || NAME.exec(expected)?.[1] !== namespace) return false
  const info = lstatSync(folder, { throwIfNoEntry: false })
  return info?.isDirectory() === true && info.uid === process.getuid?.()
}

/**
 * @param {number} pid
 * @returns {string | undefined} in clock ticks since the machine started; undefined when no such process lives
 */
function startTimeOf(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name, in brackets, may hold anything. After it come the 3rd field, the state, and the others up to the 22nd.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return fields[0] === 'Z' ? undefined : fields[19]
  } catch {
    // There is none; or no /proc to find any in, and so nothing that was left over.
    return existsSync('/proc/self') ? undefined : '0'
  }
}

/** @param {string} folder */
function mountsBeneath(folder) {
  if (!existsSync('/proc/self/mountinfo')) return []
  const points = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
  return points.filter((point) => point.startsWith(`${folder}/`))
}
