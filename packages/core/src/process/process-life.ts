import type { Readable } from 'node:stream'
import { finished } from 'node:stream/promises'
import { setTimeout as delay } from 'node:timers/promises'
import type { BoxProcess, SpawnRequest } from '../driver.js'
import type { LogBuffer } from './log-buffer.js'
import { ProcessGroup } from './process-group.js'
import { MARK, sweep } from './sweep.js'
import type { Watchdog } from './watchdog.js'

/** How long the last words of processes that were killed may take to arrive. */
const LAST_WORDS_MS = 1_000

export interface LifeOptions {
  readonly command: readonly string[]
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
  /** Begins the marks of the box's processes, and of no other's. */
  readonly mark: string
  readonly logs: LogBuffer
  readonly watchdog: Watchdog
}

/** The processes of a box, from one start to its end. */
export class ProcessLife {
  /** The exit code of the box's own process, once nothing is left of the others either. */
  readonly over: Promise<number>
  readonly #options: LifeOptions
  readonly #main: ProcessGroup
  readonly #groups = new Set<ProcessGroup>()
  /** `ending`: the box's own process has ended, and what it left behind is being ended. */
  #state: 'running' | 'paused' | 'ending' = 'running'

  /** The watchdog must watch already. @throws the system's error, such as `ENOENT` */
  static async begin(options: LifeOptions): Promise<ProcessLife> {
    return new ProcessLife(
      options,
      await ProcessGroup.start(options.command, { ...options, stdin: 'ignore' }),
    )
  }

  private constructor(options: LifeOptions, main: ProcessGroup) {
    this.#options = options
    this.#main = main
    this.#add(main)
    const { logs } = options
    logs.open()
    main.stdout.pipe(logs.writer('stdout'))
    main.stderr.pipe(logs.writer('stderr'))
    this.over = this.#end()
  }

  get state(): 'running' | 'paused' | 'ending' {
    return this.#state
  }

  get groups(): ReadonlySet<number> {
    return new Set([...this.#groups].map(({ pid }) => pid))
  }

  pause(): void {
    this.#signal('SIGSTOP')
    this.#state = 'paused'
  }

  resume(): void {
    this.#signal('SIGCONT')
    this.#state = 'running'
  }

  /** SIGTERM, and SIGKILL `graceMs` later. Resolves once nothing is left. */
  async stop(graceMs: number): Promise<void> {
    this.#signal('SIGTERM')
    // Those that are paused hear of it only now.
    this.#signal('SIGCONT')
    const timer = setTimeout(() => this.#signal('SIGKILL'), graceMs)
    await this.over
    clearTimeout(timer)
  }

  /** @throws the system's error, such as `ENOENT` */
  async spawn({ command, cwd, env }: SpawnRequest): Promise<BoxProcess> {
    const group = await ProcessGroup.start(command, {
      cwd: cwd ?? this.#options.cwd,
      env: { ...this.#options.env, ...env, [MARK]: this.#options.mark },
      stdin: 'pipe',
    })
    this.#add(group)
    // What the command started in the background stays, as long as the box does.
    void group.exited.then(() => group.alive || this.#drop(group))
    const kill = async (): Promise<void> => {
      group.signal('SIGKILL')
      await group.exited
    }
    const { stdin, stdout, stderr, exited } = group
    return { stdin, stdout, stderr, exited, kill, [Symbol.asyncDispose]: kill }
  }

  /** Whether this process, while it has nothing else to do, waits for the box. */
  hold(held: boolean): void {
    for (const group of this.#groups) group.hold(held)
  }

  #signal(signal: 'SIGTERM' | 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void {
    for (const group of this.#groups) group.signal(signal)
  }

  /** As in a container: with its own process the whole box ends. */
  async #end(): Promise<number> {
    const code = await this.#main.exited
    this.#state = 'ending'
    this.#signal('SIGKILL')
    try {
      await sweep(this.#options.mark)
    } catch {
      // What has left its group goes on: without a shell there is no way to find it. The box has ended all the same.
    }
    await lastWords(this.#main.stdout, this.#main.stderr)
    for (const group of this.#groups) this.#drop(group)
    this.#options.logs.close()
    return code
  }

  #add(group: ProcessGroup): void {
    this.#options.watchdog.guard(group.pid)
    this.#groups.add(group)
  }

  #drop(group: ProcessGroup): void {
    this.#options.watchdog.release(group.pid)
    this.#groups.delete(group)
  }
}

async function lastWords(...streams: readonly Readable[]): Promise<void> {
  const waiting = new AbortController()
  await Promise.race([
    Promise.allSettled(streams.map((stream) => finished(stream, { signal: waiting.signal }))),
    delay(LAST_WORDS_MS, undefined, { signal: waiting.signal }),
  ])
  waiting.abort()
  for (const stream of streams) stream.destroy()
}
