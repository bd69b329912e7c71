import { type Duplex, Readable } from 'node:stream'
import type { Clock } from '../clock.js'
import type { BoxExit, BoxProcess, BoxRecord, DriverEvent, SpawnRequest } from '../driver.js'
import { LogBuffer } from '../process/log-buffer.js'
import { agentServer } from './memory-agent-server.js'
import type { FullMemoryImage, MemoryProcess } from './memory-image.js'
import { interactive, RunningProgram } from './memory-program.js'
import { connect, Freezer } from './wire.js'

const LOG_BYTES = 1024 ** 2

/** What a box needs of its engine. */
export interface MemoryBoxHost {
  readonly clock: Clock
  /** The engine's time, never the same twice. */
  stamp(): number
  /** `before`: the name the box had until now. */
  happened(type: DriverEvent['type'], box: MemoryBox, before?: string): void
}

export interface MemoryBoxOptions {
  readonly id: string
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly image: FullMemoryImage
  readonly command: readonly string[]
  /** Bytes. */
  readonly memoryLimit: number
  readonly process: Pick<MemoryProcess, 'tenant' | 'env' | 'cwd'>
}

/** From one start of a box to its end. */
interface Life {
  readonly main: RunningProgram
  readonly spawned: Set<RunningProgram>
  readonly connections: Set<Duplex>
  readonly freezer: Freezer
  readonly serve: ((connection: Duplex) => void) | undefined
  readonly over: Promise<void>
  end(): void
}

/**
 * A box at a `MemoryEngine`. Its methods act on it as anybody beside the pool can who has access to the engine: at
 * once, without passing the driver or its faults.
 */
export class MemoryBox {
  readonly id: string
  readonly labels: Readonly<Record<string, string>>
  readonly logs: LogBuffer
  readonly #options: MemoryBoxOptions
  readonly #host: MemoryBoxHost
  #name: string
  #state: BoxRecord['state'] | 'removed' = 'stopped'
  #startedAt = 0
  #exit: BoxExit | undefined
  #life: Life | undefined

  constructor(options: MemoryBoxOptions, host: MemoryBoxHost) {
    this.id = options.id
    this.labels = options.labels
    this.logs = new LogBuffer(LOG_BYTES, () => host.clock.now())
    this.#name = options.name
    this.#options = options
    this.#host = host
  }

  /** Whose files and environment it has; for a stranger's box, nobody's: ''. */
  get tenant(): string {
    return this.#options.process.tenant
  }

  get name(): string {
    return this.#name
  }

  get state(): BoxRecord['state'] | 'removed' {
    return this.#state
  }

  /** When its present or last life began; 0 before the first. */
  get startedAt(): number {
    return this.#startedAt
  }

  get exit(): BoxExit | undefined {
    return this.#exit
  }

  get memoryLimit(): number {
    return this.#options.memoryLimit
  }

  get health(): 'starting' | 'healthy' | 'unhealthy' {
    return this.#options.image.health()
  }

  /** Starts a stopped box; nothing happens to any other. */
  start(): void {
    if (this.#state !== 'stopped') return
    const { image, process, command } = this.#options
    const main = new RunningProgram(process, {
      stdin: Readable.from([]),
      stdout: this.logs.writer('stdout'),
      stderr: this.logs.writer('stderr'),
    })
    const life = beginLife(main, image.agent && agentServer(image.agent, main.process))
    this.#life = life
    this.#state = 'running'
    this.#startedAt = this.#host.stamp()
    this.#exit = undefined
    this.logs.open()
    this.#host.happened('started', this)
    void main.exited.then((code) => this.#end(life, { code, oom: false }))
    void main.run(image.main, command)
  }

  /** Freezes a running box: connections are accepted, but nothing answers. */
  pause(): void {
    if (this.#state !== 'running') return
    this.#life?.freezer.freeze()
    this.#state = 'paused'
    this.#host.happened('paused', this)
  }

  resume(): void {
    if (this.#state !== 'paused') return
    this.#state = 'running'
    this.#life?.freezer.thaw()
    this.#host.happened('resumed', this)
  }

  /** SIGTERM, and SIGKILL if it still lives `graceMs` of the engine's clock later. Resolves once it is stopped. */
  async stop(graceMs: number): Promise<void> {
    const life = this.#life
    if (!life) return
    const cancel = this.#host.clock.after(graceMs, () => this.#end(life, { code: 137, oom: false }))
    life.main.terminate()
    await life.over
    cancel()
  }

  /** Ends the box at once, as a crash or the kernel would. @param exit `code` is 137 unless it says otherwise */
  kill({ code = 137, oom = false }: { code?: number; oom?: boolean } = {}): void {
    if (!this.#life) return
    if (oom) this.#host.happened('oom', this)
    this.#end(this.#life, { code, oom })
  }

  remove(): void {
    if (this.#state === 'removed') return
    this.kill()
    this.#state = 'removed'
    this.#host.happened('removed', this)
  }

  rename(name: string): void {
    const before = this.#name
    this.#name = name
    this.#host.happened('renamed', this, before)
  }

  /** A fresh connection to the agent; undefined where it would be refused. */
  dial(): Duplex | undefined {
    const life = this.#life
    if (!life?.serve) return undefined
    const { client, server } = connect(life.freezer)
    life.connections.add(server)
    server.once('close', () => life.connections.delete(server))
    life.serve(server)
    return client
  }

  /** Runs a command inside; undefined when the box is not running. */
  spawn({ command, cwd, env }: SpawnRequest): BoxProcess | undefined {
    const life = this.#state === 'running' ? this.#life : undefined
    if (!life) return undefined
    const { process: own, image } = this.#options
    const about = { tenant: own.tenant, env: { ...own.env, ...env }, cwd: cwd ?? own.cwd }
    const { program, process } = interactive(about)
    life.spawned.add(program)
    void program.exited.then(() => life.spawned.delete(program))
    void program.run(image.exec, command)
    return process
  }

  /** How many processes run in it. */
  get processes(): number {
    return this.#life ? 1 + this.#life.spawned.size : 0
  }

  #end(life: Life, exit: BoxExit): void {
    if (this.#life !== life) return
    this.#life = undefined
    this.#state = 'stopped'
    this.#exit = exit
    life.end()
    this.logs.close()
    this.#host.happened('died', this)
  }
}

function beginLife(main: RunningProgram, serve: ((connection: Duplex) => void) | false): Life {
  let over = (): void => undefined
  const life: Life = {
    main,
    spawned: new Set(),
    connections: new Set(),
    freezer: new Freezer(),
    serve: serve || undefined,
    over: new Promise((resolve) => {
      over = resolve
    }),
    end() {
      for (const program of [main, ...life.spawned]) program.kill()
      for (const connection of life.connections) connection.destroy()
      // What waited is let go: it now finds nobody there.
      life.freezer.thaw()
      over()
    },
  }
  return life
}
