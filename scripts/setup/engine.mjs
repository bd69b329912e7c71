import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { hasApt } from './apt.mjs'
import { find } from './commands.mjs'
import { EngineApi } from './engine-api.mjs'
import { CACHE } from './paths.mjs'
import { step } from './terminal.mjs'
import { libraryPath, programPath } from './unpack.mjs'

/**
 * The programs of an engine of our own: `path` and `libraries` as in PATH and LD_LIBRARY_PATH, `init` what reaps a
 * container's processes.
 * @typedef {{ path: string, libraries: string, init: string }} EnginePrograms
 */

/**
 * Where boxes can run. `shared`: an engine that is there already. `private`: one to start, just for this run.
 * `packages`: the same, once its programs are downloaded. `none`: nowhere, and why.
 * @typedef {{ kind: 'shared', socket: string }
 *   | { kind: 'private', programs: EnginePrograms }
 *   | { kind: 'packages' }
 *   | { kind: 'none', reasons: string[] }} EngineChoice
 * @typedef {Exclude<EngineChoice, { kind: 'packages' }>} ReadyChoice
 */

/** Docker 20.10. */
const OLDEST_API = [1, 41]

/** Those of the distribution that hold an engine's programs. */
export const ENGINE_PACKAGES = ['docker.io', 'containerd', 'runc', 'tini', 'busybox-static']

/** Where they are unpacked. */
export const ENGINE_ROOT = join(CACHE, 'engine')

/** @returns {Promise<EngineChoice>} */
export async function chooseEngine() {
  if (process.env.TENANTBOX_NO_ENGINE === '1')
    return { kind: 'none', reasons: ['TENANTBOX_NO_ENGINE=1 is set'] }
  if (process.platform !== 'linux')
    return {
      kind: 'none',
      reasons: [`test images are made of this machine's own programs, which needs Linux`],
    }
  const reasons = []
  for (const endpoint of endpoints()) {
    const trouble = await troubleWith(endpoint)
    if (trouble === undefined) return { kind: 'shared', socket: endpoint.slice('unix://'.length) }
    if (endpoint === process.env.DOCKER_HOST)
      step(`DOCKER_HOST is of no use here (${trouble}): looking further`)
    reasons.push(`${endpoint}: ${trouble}`)
  }
  if (process.getuid?.() !== 0) return { kind: 'none', reasons: [...reasons, 'only root can start one'] }
  const tools = ['unshare', 'nsenter', 'setpriv', 'mount']
  const missing = tools.filter((tool) => !find(tool))
  if (missing.length > 0)
    return { kind: 'none', reasons: [...reasons, `to start one takes ${missing.join(', ')}`] }
  const programs = installedPrograms() ?? unpackedPrograms()
  if (programs) return { kind: 'private', programs }
  if (hasApt()) return { kind: 'packages' }
  return {
    kind: 'none',
    reasons: [...reasons, 'no dockerd on the PATH', 'no Debian or Ubuntu to take one from'],
  }
}

/** @returns {string[]} where an engine may listen, the likeliest first */
function endpoints() {
  const { DOCKER_HOST, XDG_RUNTIME_DIR } = process.env
  const rootless = XDG_RUNTIME_DIR ? [`unix://${XDG_RUNTIME_DIR}/docker.sock`] : []
  return [...(DOCKER_HOST ? [DOCKER_HOST] : []), 'unix:///var/run/docker.sock', ...rootless]
}

/**
 * @param {string} endpoint
 * @returns {Promise<string | undefined>} why this engine cannot be used
 */
async function troubleWith(endpoint) {
  if (!endpoint.startsWith('unix://'))
    return 'boxes mount folders of this machine, so only its own sockets will do'
  try {
    const version = await new EngineApi(endpoint.slice('unix://'.length)).get('/version', { timeout: 5_000 })
    const [major = 0, minor = 0] = String(version.ApiVersion).split('.').map(Number)
    const [oldestMajor = 0, oldestMinor = 0] = OLDEST_API
    if (major < oldestMajor || (major === oldestMajor && minor < oldestMinor))
      return `its version ${version.Version} is older than 20.10`
    return version.Os === 'linux' ? undefined : `it runs ${version.Os} containers`
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/** @returns {EnginePrograms | undefined} */
export function installedPrograms() {
  const path = process.env.PATH ?? ''
  const init = find('docker-init') ?? find('tini-static')
  const complete = ['dockerd', 'containerd', 'runc'].every((program) => find(program))
  return complete && init ? { path, libraries: '', init } : undefined
}

/** @returns {EnginePrograms | undefined} those of the distribution's packages, once they are unpacked */
export function unpackedPrograms() {
  if (!existsSync(ENGINE_ROOT)) return undefined
  const path = `${programPath(ENGINE_ROOT)}:${process.env.PATH ?? ''}`
  return { path, libraries: libraryPath(ENGINE_ROOT), init: join(ENGINE_ROOT, 'usr/bin/tini-static') }
}
