import { spawnSync } from 'node:child_process'
import { existsSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { find } from './commands.mjs'
import { ENGINE_ROOT } from './engine.mjs'
import { CACHE } from './paths.mjs'
import { tar } from './tar.mjs'
import { SetupError } from './terminal.mjs'

/**
 * @typedef {{ agent: string, attacker: string }} TestImages names: one with Node, and one with ways to more rights
 * @typedef {import('./engine-api.mjs').EngineApi} EngineApi
 * @typedef {import('./tar.mjs').TarEntry} TarEntry
 */

/** Where busybox is unpacked when nothing else is. */
export const BUSYBOX_ROOT = join(CACHE, 'busybox')

/** On every image and so on every container made of it: which run they belong to. */
export const RUN_LABEL = 'dev.tenantbox.run'

const ACCOUNTS = 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n'

/** @returns {string | undefined} */
export function findBusybox() {
  const unpacked = [ENGINE_ROOT, BUSYBOX_ROOT].map((root) => join(root, 'bin/busybox'))
  return unpacked.find((file) => existsSync(file)) ?? find('busybox')
}

/**
 * Makes the images that tests and examples use, of this machine's own programs: nothing is pulled.
 *
 * @param {EngineApi} api
 * @param {string} run
 * @param {AbortSignal} signal
 * @returns {Promise<TestImages>}
 */
export async function makeImages(api, run, signal) {
  const busybox = findBusybox()
  if (!busybox)
    throw new SetupError('The test images need busybox: install the package busybox-static or busybox.')
  const shell = shellFiles(busybox)
  return {
    agent: await importImage(
      api,
      'agent',
      run,
      [...shell, ...copies(process.execPath, '/usr/local/bin/node')],
      signal,
    ),
    attacker: await importImage(api, 'attacker', run, [...shell, ...attackerFiles()], signal),
  }
}

/**
 * @param {string} busybox
 * @returns {TarEntry[]}
 */
function shellFiles(busybox) {
  const { stdout } = spawnSync(busybox, ['--list'], { encoding: 'utf8' })
  const applets = stdout.split('\n').filter((applet) => applet !== '' && applet !== 'busybox')
  return [
    ...['/workspace', '/run/tenantbox', '/run/gateway', '/run/secrets', '/proc', '/sys', '/dev', '/root'].map(
      folder,
    ),
    { path: '/tmp', kind: 'folder', mode: 0o1777 },
    { path: '/etc/passwd', text: ACCOUNTS },
    { path: '/etc/group', text: 'root:x:0:\nnogroup:x:65534:\n' },
    ...copies(busybox, '/bin/busybox'),
    ...applets.map((applet) => ({ path: `/bin/${applet}`, link: 'busybox' })),
  ]
}

/** @param {string} path */
const folder = (path) => /** @type {const} */ ({ path, kind: 'folder' })

/** Ways to more rights, for tests that no box can use them. @returns {TarEntry[]} */
function attackerFiles() {
  return [
    { path: '/etc/roots-own', text: 'only root reads this\n', mode: 0o600 },
    ...copies('/usr/bin/cat', '/usr/bin/setuid-cat', 0o4755),
    ...copies('/usr/bin/id', '/usr/bin/setuid-id', 0o4755),
  ]
}

/**
 * @param {string} program
 * @param {string} path where it goes; the libraries it needs go where they are on this machine
 * @returns {TarEntry[]}
 */
function copies(program, path, mode = 0o755) {
  // A static program is a failure to ldd, and needs none.
  const { stdout } = spawnSync('ldd', [program], { encoding: 'utf8' })
  const libraries = [...stdout.matchAll(/(\/\S+) \(0x/g)].map((match) => match[1] ?? '')
  const files = [...libraries.map((library) => ({ path: library, from: library })), { path, from: program }]
  return files.map((file) => ({
    ...file,
    from: realpathSync(file.from),
    mode: file.path === path ? mode : 0o755,
  }))
}

/**
 * @param {EngineApi} api
 * @param {string} name
 * @param {string} run
 * @param {readonly TarEntry[]} entries
 * @param {AbortSignal} signal
 */
async function importImage(api, name, run, entries, signal) {
  const repo = `tenantbox-test/${name}`
  const query = new URLSearchParams({ fromSrc: '-', repo, tag: run })
  query.append('changes', `LABEL ${RUN_LABEL}=${run}`)
  query.append('changes', 'ENV PATH=/usr/local/bin:/usr/bin:/bin')
  query.append('changes', 'CMD ["/bin/sh"]')
  const unique = [...new Map(entries.map((entry) => [entry.path, entry])).values()]
  const answer = await api.call('POST', `/images/create?${query}`, {
    body: Readable.from(tar(unique)),
    signal,
  })
  // Whatever happened, the status is 200.
  if (answer.includes('"error"'))
    throw new Error(`The engine did not take the image ${repo}: ${answer.trim()}`)
  return `${repo}:${run}`
}
