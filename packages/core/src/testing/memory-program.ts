import { PassThrough, type Readable, type Writable } from 'node:stream'
import type { BoxProcess } from '../driver.js'
import { toMessage } from '../text.js'
import type { MemoryProcess, MemoryProgram } from './memory-image.js'

const KILLED = 137

/** A `MemoryProgram` while it runs. */
export class RunningProgram {
  readonly process: MemoryProcess
  readonly exited: Promise<number>
  readonly #controller = new AbortController()
  #exit: (code: number) => void = () => undefined

  constructor(
    about: Pick<MemoryProcess, 'tenant' | 'env' | 'cwd'>,
    streams: { stdin: Readable; stdout: Writable; stderr: Writable },
  ) {
    this.process = { ...about, ...streams, signal: this.#controller.signal }
    this.exited = new Promise((resolve) => {
      this.#exit = resolve
    })
    // A function cannot be killed: what it still reads and writes after its end goes nowhere.
    for (const stream of Object.values(streams)) stream.on('error', () => undefined)
  }

  async run(program: MemoryProgram, command: readonly string[]): Promise<void> {
    try {
      this.#end((await program(this.process, command)) ?? 0)
    } catch (error) {
      this.process.stderr.write(`${toMessage(error)}\n`)
      this.#end(1)
    }
  }

  /** SIGTERM. */
  terminate(): void {
    this.#controller.abort()
  }

  /** SIGKILL. */
  kill(): void {
    this.#end(KILLED)
  }

  #end(code: number): void {
    const { stdin, stdout, stderr } = this.process
    this.#controller.abort()
    stdin.destroy()
    stdout.end()
    stderr.end()
    this.#exit(code)
  }
}

/** A program whose streams are its caller's. */
export function interactive(about: Pick<MemoryProcess, 'tenant' | 'env' | 'cwd'>): {
  program: RunningProgram
  process: BoxProcess
} {
  const streams = { stdin: new PassThrough(), stdout: new PassThrough(), stderr: new PassThrough() }
  const program = new RunningProgram(about, streams)
  const kill = async (): Promise<void> => program.kill()
  return { program, process: { ...streams, exited: program.exited, kill, [Symbol.asyncDispose]: kill } }
}
