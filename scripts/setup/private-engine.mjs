import { spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { thawCgroups } from './cgroups.mjs'
import { EngineApi } from './engine-api.mjs'
import { SetupError } from './terminal.mjs'

/** @typedef {import('./engine.mjs').EnginePrograms} EnginePrograms */

const SOCKET = 'docker.sock'
const LOG = 'engine.log'

/** For its start, in milliseconds. */
const PATIENCE = 60_000

/** To create and to enter. */
export const NAMESPACES = ['--mount', '--pid', '--net']

/**
 * What runs in the fresh namespaces. An engine also writes to fixed places, so these get a layer of their own.
 * Its arguments: the run's folder, the init program, then the engine's command line.
 */
const ENTER = `
  set -e
  folder=$1 init=$2; shift 2
  mount -t tmpfs -o mode=700 tmpfs "$folder/layers"
  for place in etc opt; do
    [ -d /$place ] || continue
    mkdir "$folder/layers/$place" "$folder/layers/$place.work"
    mount -t overlay overlay /$place \\
      -o "lowerdir=/$place,upperdir=$folder/layers/$place,workdir=$folder/layers/$place.work"
  done
  mount -t tmpfs -o mode=755 tmpfs /run
  ip link set lo up || busybox ip link set lo up || ifconfig lo up
  exec "$init" -- "$@"
`

/**
 * An engine that lives, with all its containers, in process, mount and network namespaces of its own. When their first
 * process dies, however it dies, the kernel ends every process, mount and interface in them. So all that an engine can
 * leave behind are files and cgroups, and it can disturb neither the machine's network nor another engine.
 */
export class PrivateEngine {
  #folder
  #child

  /**
   * @param {string} folder of the run: everything is in it
   * @param {EnginePrograms} programs
   * @param {{ bridges?: boolean, runtimes?: Record<string, { path: string, runtimeArgs: string[] }> }} [options] bridges:
   *   it may make networks, with iptables; runtimes: beside runc
   */
  constructor(folder, { path, libraries, init }, { bridges = false, runtimes = {} } = {}) {
    this.#folder = folder
    for (const name of ['layers', 'data', 'exec']) mkdirSync(join(folder, name))
    // Settings of its own: the machine's may contradict ours.
    writeFileSync(join(folder, 'daemon.json'), JSON.stringify({ runtimes }))
    const log = openSync(join(folder, LOG), 'a')
    // Should this process be killed, `unshare` is killed with it, and the first process inside with that.
    const outside = [
      '--pdeathsig',
      'KILL',
      'unshare',
      '--fork',
      '--kill-child',
      ...NAMESPACES,
      '--mount-proc',
    ]
    const inside = ['sh', '-c', ENTER, 'sh', folder, init, ...commandLine(folder, init), ...networks(bridges)]
    const env = { ...process.env, PATH: path, ...(libraries ? { LD_LIBRARY_PATH: libraries } : {}) }
    this.#child = spawn('setpriv', [...outside, ...inside], { env, stdio: ['ignore', log, log] })
    closeSync(log)
    /** When its last process has ended. @type {Promise<void>} */
    this.exited = new Promise((resolve) =>
      this.#child.once('exit', () => resolve()).once('error', () => resolve()),
    )
  }

  get socket() {
    return join(this.#folder, SOCKET)
  }

  /** What it said last. */
  lastWords() {
    return readFileSync(join(this.#folder, LOG), 'utf8').trimEnd().split('\n').slice(-20).join('\n')
  }

  /**
   * Resolves once it answers.
   *
   * @param {AbortSignal} signal
   */
  async ready(signal) {
    const api = new EngineApi(this.socket)
    for (const deadline = Date.now() + PATIENCE; ; await sleep(50)) {
      signal.throwIfAborted()
      if (!this.#alive()) throw new SetupError(`The private engine did not start:\n${this.lastWords()}`)
      try {
        return await api.call('GET', '/_ping', { timeout: 5_000 })
      } catch (error) {
        if (Date.now() > deadline) throw error
      }
    }
  }

  /** Its first process, as numbered outside. @returns {number | undefined} */
  get init() {
    const { pid } = this.#child
    if (pid === undefined || !this.#alive()) return undefined
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim()
    return children === '' ? undefined : Number(children)
  }

  /** Ends it and everything in it at once: nothing of it is worth a gentle end. */
  async kill() {
    const first = this.init ?? this.#child.pid
    if (!this.#alive() || first === undefined) return
    process.kill(first, 'SIGKILL')
    const thawing = setInterval(() => thawCgroups(basename(this.#folder)), 20)
    await this.exited
    clearInterval(thawing)
  }

  #alive() {
    return this.#child.pid !== undefined && this.#child.exitCode === null && this.#child.signalCode === null
  }
}

/**
 * @param {string} folder
 * @param {string} init
 */
function commandLine(folder, init) {
  return [
    'dockerd',
    ...['--host', `unix://${join(folder, SOCKET)}`, '--pidfile', join(folder, 'docker.pid')],
    ...['--data-root', join(folder, 'data'), '--exec-root', join(folder, 'exec')],
    ...['--config-file', join(folder, 'daemon.json'), '--init-path', init],
    ...['--cgroup-parent', `/${basename(folder)}`, '--exec-opt', 'native.cgroupdriver=cgroupfs'],
    '--bridge=none',
  ]
}

/** @param {boolean} wanted */
function networks(wanted) {
  return wanted ? [] : ['--iptables=false', '--ip6tables=false', '--ip-forward=false', '--ip-masq=false']
}
