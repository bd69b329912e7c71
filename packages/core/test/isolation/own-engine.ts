import { type ChildProcess, execFile, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { DockerOptions } from '@tenantbox/core/docker'
import Docker from 'dockerode'
import { importAttackerImage } from './image.js'
import { local, type Place } from './isolation.js'

const IMAGE = 'tenantbox-test:attacker'

const KEEPER = fileURLToPath(new URL('../../../../scripts/setup/extra-engine.mjs', import.meta.url))

/** What an engine must be able to do that the tests' own need not. */
export interface Wanted {
  /** Make networks, with iptables, in a network namespace of its own. */
  readonly bridges: boolean
  /** Run boxes under gVisor: as `runsc`, and as `runsc-closed` where sockets cannot cross. */
  readonly gvisor: boolean
}

type Report =
  | { type: 'ready'; socket: string; init: number; env: Record<string, string> }
  | { type: 'missing'; what: string }

/** An engine in namespaces of its own; whatever is started in them ends with it. */
export class OwnEngine {
  readonly socketPath: string
  readonly #keeper: ChildProcess
  readonly #enter: readonly string[]
  readonly #env: NodeJS.ProcessEnv
  #image: Promise<void> | undefined

  private constructor(keeper: ChildProcess, { socket, init, env }: Extract<Report, { type: 'ready' }>) {
    this.socketPath = socket
    this.#keeper = keeper
    this.#enter = ['--target', String(init), '--mount', '--pid', '--net']
    this.#env = { ...process.env, ...env }
  }

  /** The engine, or what this machine lacks for it. */
  static async start(wanted: Wanted): Promise<OwnEngine | { missing: string }> {
    const keeper = fork(KEEPER, [JSON.stringify(wanted)], { detached: true, execArgv: [] })
    const [report] = (await Promise.race([
      once(keeper, 'message'),
      once(keeper, 'exit').then(() => Promise.reject(new Error('the engine did not start: see above'))),
    ])) as [Report]
    if (report.type === 'ready') return new OwnEngine(keeper, report)
    await exited(keeper)
    return { missing: report.what }
  }

  /** Runs a command among the engine's own processes; resolves with what it writes. */
  async run(...command: readonly string[]): Promise<string> {
    const { stdout } = await promisify(execFile)('nsenter', [...this.#enter, ...command], {
      env: this.#env,
      timeout: 10_000,
    })
    return stdout
  }

  /** Starts one that goes on until the engine ends; resolves once it has written a line. */
  async begin(...command: readonly string[]): Promise<void> {
    const child = spawn('nsenter', [...this.#enter, ...command], {
      env: this.#env,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await Promise.race([
      once(child.stdout, 'data'),
      once(child, 'exit').then(() => Promise.reject(new Error(`${command.join(' ')} ended at once`))),
    ])
  }

  /** For `useIsolation`: this engine, with one image for all. */
  place(driver: DockerOptions = {}): () => Promise<Place> {
    return async () => {
      this.#image ??= importAttackerImage(new Docker(local(this.socketPath)), IMAGE)
      await this.#image
      return { socketPath: this.socketPath, image: IMAGE, driver }
    }
  }

  async close(): Promise<void> {
    this.#keeper.disconnect()
    await exited(this.#keeper)
  }
}

async function exited(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
}

/** Starts an engine for the tests of one file; where it cannot be, says so and why, and `given` is undefined. */
export async function startOwnEngine(what: string, wanted: Wanted): Promise<OwnEngine | undefined> {
  const engine = await OwnEngine.start(wanted)
  if (engine instanceof OwnEngine) return engine
  console.warn(`Left out: ${what}, as this machine has no ${engine.missing}.`)
  return undefined
}
