import type { BoxExit, BoxProcess, BoxRecord, BoxRef, DriverEvent, SpawnRequest } from '../driver.js'
import { errnoOf } from '../errno.js'
import type { TenantFolders } from '../tenant-dirs.js'
import { toMessage } from '../text.js'
import { boxFailed } from './box-failure.js'
import { environmentOf } from './environment.js'
import { LogBuffer } from './log-buffer.js'
import { freePort } from './ports.js'
import { ProcessLife } from './process-life.js'
import type { ProcessSpec } from './process-spec.js'
import type { ShortPaths } from './short-paths.js'
import type { Watchdog } from './watchdog.js'

const LOG_BYTES = 1024 ** 2

/** What a box needs of its driver. */
export interface ProcessBoxHost {
  readonly watchdog: Watchdog
  readonly paths: ShortPaths
  happened(type: DriverEvent['type'], ref: BoxRef): void
}

export interface ProcessBoxOptions {
  readonly ref: BoxRef
  /** Tells boxes of different specs apart. */
  readonly hash: string
  readonly spec: ProcessSpec
  readonly folders: TenantFolders
  /** In the environment of its processes, and of no other's. */
  readonly mark: string
}

/** A box whose processes are this machine's own. */
export class ProcessBox {
  readonly ref: BoxRef
  readonly logs = new LogBuffer(LOG_BYTES, Date.now)
  readonly #options: ProcessBoxOptions
  readonly #host: ProcessBoxHost
  #aside = false
  #startedAt = 0
  #exit: BoxExit | undefined
  #life: ProcessLife | undefined
  #port: number | undefined
  #starting: Promise<void> | undefined
  #removing: Promise<void> | undefined

  constructor(options: ProcessBoxOptions, host: ProcessBoxHost) {
    this.ref = options.ref
    this.#options = options
    this.#host = host
  }

  get record(): BoxRecord {
    return {
      ref: this.ref,
      state: !this.#life ? 'stopped' : this.#life.state === 'paused' ? 'paused' : 'running',
      startedAt: this.#startedAt,
      spec: this.#options.hash,
      aside: this.#aside,
      exit: this.#exit,
    }
  }

  get aside(): boolean {
    return this.#aside
  }

  get folders(): TenantFolders {
    return this.#options.folders
  }

  /** Numbers of its process groups. */
  get groups(): ReadonlySet<number> {
    return this.#life?.groups ?? new Set()
  }

  /** Where `port` of the box is on this machine. */
  portOf(port: number): number {
    const { transport } = this.#options.spec
    const isOwn = transport !== 'socket' && transport.port === port
    return (isOwn ? this.#port : undefined) ?? port
  }

  rename(aside: boolean): void {
    if (this.#aside === aside) return
    this.#aside = aside
    this.#host.happened('renamed', this.ref)
  }

  /** Whether this process, while it has nothing else to do, waits for the box. A start under way comes first. */
  async hold(held: boolean): Promise<void> {
    await this.#starting?.catch(() => undefined)
    this.#life?.hold(held)
  }

  /** Resolves once it runs. A life that is ending is waited for, a paused one is resumed. */
  async start(): Promise<{ startedAt: number }> {
    if (this.#life?.state === 'ending') await this.#life.over
    if (this.#life?.state === 'paused') this.resume()
    if (!this.#life) {
      this.#starting ??= this.#begin().finally(() => {
        this.#starting = undefined
      })
      await this.#starting
    }
    return { startedAt: this.#startedAt }
  }

  pause(): void {
    const life = this.#living()
    if (life.state === 'paused') return
    life.pause()
    this.#host.happened('paused', this.ref)
  }

  resume(): void {
    const life = this.#living()
    if (life.state === 'running') return
    life.resume()
    this.#host.happened('resumed', this.ref)
  }

  async stop(graceMs: number): Promise<void> {
    // A start under way is carried through first; whether it succeeds is its own callers' affair.
    await this.#starting?.catch(() => undefined)
    await this.#life?.stop(graceMs)
  }

  /** Ends it for good. */
  remove(): Promise<void> {
    this.#removing ??= this.stop(0)
    return this.#removing
  }

  /** Whether it is about to go. */
  get condemned(): boolean {
    return this.#removing !== undefined
  }

  async spawn(request: SpawnRequest): Promise<BoxProcess> {
    const life = this.#living()
    if (life.state === 'paused') throw boxFailed(this.ref, 'is paused. Resume it first.')
    return this.#run(request.command, () => life.spawn(request))
  }

  async #begin(): Promise<void> {
    const { spec, folders, mark } = this.#options
    const { watchdog, paths } = this.#host
    const port = spec.transport === 'socket' ? undefined : await freePort()
    const env = environmentOf(spec, { folders, shortRoot: await paths.to(folders.root), port, mark })
    await watchdog.watch()
    if (this.condemned) throw boxFailed(this.ref, 'is gone.')
    const life = await this.#run(spec.command, () =>
      ProcessLife.begin({
        command: spec.command,
        cwd: folders.workspace,
        env,
        mark,
        logs: this.logs,
        watchdog,
      }),
    )
    void life.over.then((code) => this.#ended(code))
    this.#life = life
    this.#port = port
    this.#exit = undefined
    // Two lives never begin at the same time, however the machine's clock is set.
    this.#startedAt = Math.max(Date.now(), this.#startedAt + 1)
    this.#host.happened('started', this.ref)
  }

  #ended(code: number): void {
    this.#life = undefined
    this.#exit = { code, oom: false }
    this.#host.happened('died', this.ref)
  }

  #living(): ProcessLife {
    if (!this.#life || this.#life.state === 'ending') throw boxFailed(this.ref, 'is not running.')
    return this.#life
  }

  /** @throws TenantBoxError `START_FAILED` for a command that cannot be run */
  async #run<T>([command]: readonly string[], start: () => Promise<T>): Promise<T> {
    try {
      return await start()
    } catch (cause) {
      const code = errnoOf(cause)
      if (code !== 'ENOENT' && code !== 'EACCES') throw cause
      throw boxFailed(
        this.ref,
        `cannot run ${JSON.stringify(command)}: ${toMessage(cause)}. Check the command, and that the folder it runs in exists.`,
        { code: code === 'ENOENT' ? 127 : 126 },
        cause,
      )
    }
  }
}
