// Forked by tests that need an engine of another kind than the one they were given. It lives as long as its channel.
import { once } from 'node:events'
import { dirname } from 'node:path'
import { installedPrograms, unpackedPrograms } from './engine.mjs'
import { findExtra } from './extras.mjs'
import { lifeline } from './lifeline.mjs'
import { PrivateEngine } from './private-engine.mjs'
import { makeRunFolder, removeRunFolder } from './run-folder.mjs'

/**
 * What the test hears. `init`: the first process of the engine's namespaces; `env`: what its tools need.
 * @typedef {{ type: 'ready', socket: string, init: number, env: Record<string, string> } | { type: 'missing', what: string }} Report
 */

/** How gVisor must be registered for boxes to share a socket with the gateway, and as an engine without that knows it. */
const GVISOR = ['--network=none', '--platform=ptrace']

/** @param {Report} report */
const tell = (report) => process.connected && process.send?.(report)

/**
 * @param {{ bridges: boolean, gvisor: boolean }} wanted
 * @param {AbortSignal} signal
 */
async function hold({ bridges, gvisor }, signal) {
  const programs = installedPrograms() ?? unpackedPrograms()
  const iptables = bridges ? findExtra('iptables') : undefined
  const runsc = gvisor ? findExtra('runsc') : undefined
  if (process.getuid?.() !== 0) return tell({ type: 'missing', what: 'root' })
  if (!programs) return tell({ type: 'missing', what: 'dockerd, containerd and runc' })
  if (bridges && !iptables) return tell({ type: 'missing', what: 'iptables' })
  if (gvisor && !runsc) return tell({ type: 'missing', what: 'runsc (Debian: the package runsc)' })
  const libraries = [programs.libraries, iptables?.env.LD_LIBRARY_PATH].filter(Boolean).join(':')
  const path = [...(iptables ? [dirname(iptables.program)] : []), programs.path].join(':')
  Object.assign(process.env, iptables?.env)
  const runtimes = runsc
    ? {
        runsc: { path: runsc.program, runtimeArgs: ['--host-uds=all', ...GVISOR] },
        'runsc-closed': { path: runsc.program, runtimeArgs: GVISOR },
      }
    : {}
  const folder = await makeRunFolder()
  // gVisor begins in the folder for temporary files, as nobody: ours is closed to everybody.
  process.env.TMPDIR = '/tmp'
  const engine = new PrivateEngine(folder, { ...programs, path, libraries }, { bridges, runtimes })
  try {
    await engine.ready(signal)
    const { init } = engine
    if (init !== undefined)
      tell({ type: 'ready', socket: engine.socket, init, env: { PATH: path, ...iptables?.env } })
    await Promise.race([once(signal, 'abort'), engine.exited])
  } finally {
    await engine.kill()
    await removeRunFolder(folder)
  }
}

const signal = lifeline()
if (!signal.aborted)
  try {
    await hold(JSON.parse(process.argv[2] ?? ''), signal)
  } catch (error) {
    if (!signal.aborted) {
      console.error(error)
      process.exitCode = 1
    }
  }
process.exit()
