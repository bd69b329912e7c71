import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { Socket } from 'node:net'
import { constants } from 'node:os'
import { PassThrough, type Readable, type Writable } from 'node:stream'
import { errnoOf } from '../errno.js'

type Signal = 'SIGTERM' | 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'

export interface GroupOptions {
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
  readonly stdin: 'pipe' | 'ignore'
}

/**
 * A process that leads a session of its own, with whatever it starts. Signals reach all of them but those that have left
 * for sessions of their own.
 */
export class ProcessGroup {
  /** Of the leader, and of the group. */
  readonly pid: number
  readonly stdin: Writable
  readonly stdout: Readable
  readonly stderr: Readable
  /** The leader's exit code, as a shell tells it: 128 and the signal's number if one ended it. */
  readonly exited: Promise<number>
  readonly #child: ChildProcess
  #leaderIsOurs = true

  /** @throws the system's error: `ENOENT` for a missing command or folder, `EACCES` */
  static async start(command: readonly string[], { cwd, env, stdin }: GroupOptions): Promise<ProcessGroup> {
    const [file = '', ...rest] = command
    const child = spawn(file, rest, { cwd, env, stdio: [stdin, 'pipe', 'pipe'], detached: true })
    if (child.pid !== undefined) return new ProcessGroup(child, child.pid)
    const [error] = await once(child, 'error')
    throw error
  }

  private constructor(child: ChildProcess, pid: number) {
    this.#child = child
    this.pid = pid
    this.stdin = child.stdin ?? new PassThrough()
    this.stdout = child.stdout ?? new PassThrough()
    this.stderr = child.stderr ?? new PassThrough()
    // A process may well end without reading its input: the broken pipe is its own affair.
    this.stdin.on('error', () => undefined)
    this.exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        this.#leaderIsOurs = false
        resolve(code ?? 128 + (signal ? constants.signals[signal] : 0))
      })
    })
  }

  /** Whether anybody is left in it. */
  get alive(): boolean {
    return this.#reach(0)
  }

  signal(signal: Signal): void {
    this.#reach(signal)
  }

  /** Whether this process, while it has nothing else to do, waits for the group. */
  hold(held: boolean): void {
    const handles = [this.#child, this.stdin, this.stdout, this.stderr]
    for (const handle of handles)
      if (handle === this.#child || handle instanceof Socket) handle[held ? 'ref' : 'unref']()
  }

  #reach(signal: Signal | 0): boolean {
    // Once the leader was reaped, a process with its number is somebody else's. Without one the number is still the
    // group's: the kernel gives it to nobody as long as the group lives.
    if (!this.#leaderIsOurs && reached(this.pid, 0)) return false
    return reached(-this.pid, signal)
  }
}

function reached(target: number, signal: Signal | 0): boolean {
  try {
    return process.kill(target, signal)
  } catch (error) {
    if (errnoOf(error) === 'ESRCH') return false
    // There is one, but it has changed its user, or is a zombie (of which macOS says so).
    if (errnoOf(error) === 'EPERM') return true
    throw error
  }
}
