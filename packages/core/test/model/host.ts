import { closeSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import type { Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CancelTimer, Clock } from '../../src/clock.js'

/** Kept in memory where there is such a folder: thousands of machines are made and thrown away. */
const FAST = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()

/** The machine that gateways run on: one data folder, and processes with clocks, files and sockets of their own. */
export class Host {
  /** Where the one data folder really is. */
  readonly dataDir: string
  readonly #root: string
  readonly #clock: Clock
  readonly #processes: HostProcess[] = []

  constructor(clock: Clock) {
    this.#clock = clock
    this.#root = mkdtempSync(join(FAST, 'tbx-model-'))
    this.dataDir = join(this.#root, 'data')
    mkdirSync(this.dataDir, { mode: 0o700 })
  }

  /** @param slowly called before every step on the disk that others can see; holds it there */
  spawn(slowly: (step: string) => Promise<void> | undefined): HostProcess {
    // Each process reaches the folder by a path of its own, which tells whose a call is.
    const alias = join(this.#root, `p${this.#processes.length + 1}`)
    symlinkSync(this.dataDir, alias)
    const process = new HostProcess(alias, this.#clock, slowly)
    this.#processes.push(process)
    running.set(alias, process)
    return process
  }

  destroy(): void {
    for (const process of this.#processes) {
      process.kill()
      for (const fd of process.files) closeSync(fd)
      running.delete(process.dataDir)
    }
    rmSync(this.#root, { recursive: true })
  }
}

/** Everything of a process that its end takes away. */
export class HostProcess {
  readonly dataDir: string
  readonly clock: Clock
  readonly slowly: (step: string) => Promise<void> | undefined
  /** Open descriptors. */
  readonly files = new Set<number>()
  /** The descriptor of the lock, while it has it open: the only one whose closing others notice. */
  lock: number | undefined
  readonly sockets = new Set<Server>()
  readonly #timers = new Set<CancelTimer>()
  #killed = false

  constructor(dataDir: string, clock: Clock, slowly: (step: string) => Promise<void> | undefined) {
    this.dataDir = dataDir
    this.slowly = slowly
    this.clock = {
      now: () => clock.now(),
      monotonic: () => clock.monotonic(),
      after: (ms, callback, options) => this.#after(clock, ms, callback, options),
    }
  }

  get killed(): boolean {
    return this.#killed
  }

  get timers(): number {
    return this.#timers.size
  }

  /** `kill -9`: nothing that it has begun goes on, and the kernel lets go of its lock. */
  kill(): void {
    this.#killed = true
    for (const cancel of this.#timers) cancel()
    this.#timers.clear()
    this.sockets.clear()
    if (this.lock === undefined) return
    // The others stay open until all is over: their numbers must not become somebody else's.
    closeSync(this.lock)
    this.files.delete(this.lock)
    this.lock = undefined
  }

  #after(
    clock: Clock,
    ms: number,
    callback: () => void,
    options: { background?: boolean } | undefined,
  ): CancelTimer {
    if (this.#killed) return () => undefined
    const cancel = clock.after(
      ms,
      () => {
        this.#timers.delete(stop)
        callback()
      },
      options,
    )
    const stop = (): void => {
      this.#timers.delete(stop)
      cancel()
    }
    this.#timers.add(stop)
    return stop
  }
}

const running = new Map<string, HostProcess>()
const HELD = /^\/proc\/self\/fd\/(\d+)/

/** The process that uses a path: the one whose alias it begins with, or that holds the descriptor it goes by. */
export function ownerOf(path: string): HostProcess {
  const fd = HELD.exec(path)?.[1]
  for (const process of running.values()) {
    if (fd === undefined ? path.startsWith(process.dataDir) : process.files.has(Number(fd))) return process
  }
  throw new Error(`${path} is no process's of this test`)
}
