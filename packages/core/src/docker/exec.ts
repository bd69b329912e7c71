import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import { PassThrough, Writable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import type Docker from 'dockerode'
import type { BoxProcess, BoxRef, DriverCall, SpawnRequest } from '../driver.js'
import { boxFailed, boxGone, forBox, whose } from './containers.js'
import type { Engine } from './engine.js'
import { refusalOf } from './engine-failure.js'
import { killInBox, killOnHost, MARK } from './exec-kill.js'
import { type Piece, pieces } from './multiplexed.js'

const FIRST_POLL_MS = 5
const LONGEST_POLL_MS = 1_000
/** What still comes of a killed process's output: more than the pipes, the engine and the sockets hold of it. */
const MOST_HELD = 4 * 1024 ** 2

/** Starts a process in a running box. */
export async function spawnInBox(
  engine: Engine,
  ref: BoxRef,
  { command, cwd, env, tty }: SpawnRequest,
  closing: AbortSignal,
  { signal }: DriverCall,
): Promise<BoxProcess> {
  const mark = randomUUID()
  const hasTty = tty !== undefined && tty !== false
  const options: Docker.ExecCreateOptions = {
    AttachStdin: true,
    AttachStdout: true,
    AttachStderr: true,
    Tty: hasTty,
    Cmd: [...command],
    Env: Object.entries({ ...env, [MARK]: mark }).map(([name, value]) => `${name}=${value}`),
    ...(cwd === undefined ? {} : { WorkingDir: cwd }),
  }
  const exec = await refusable(ref, () =>
    engine.call(
      'prepare a command',
      (client, abortSignal) => client.getContainer(ref.id).exec({ ...options, abortSignal }),
      { signal },
    ),
  )
  // Once asked for, the process runs, whatever becomes of the request: so giving up means ending it.
  const socket = await refusable(ref, () =>
    engine.call('run a command', (_, abortSignal) =>
      exec.start({ hijack: true, stdin: true, Tty: hasTty, abortSignal }),
    ),
  )
  const child = new ExecProcess(engine, ref, exec, mark, socket, hasTty, closing)
  try {
    if (typeof tty === 'object') await child.resize(tty.columns, tty.rows)
    signal?.throwIfAborted()
    return child
  } catch (error) {
    await child.kill()
    throw error
  }
}

async function refusable<T>(ref: BoxRef, call: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (error) {
    const refusal = refusalOf(error)
    if (refusal?.status === 404) throw boxGone(ref)
    if (refusal)
      throw boxFailed(ref, `cannot run a command: ${refusal.message}.`, { phase: 'start' }, refusal)
    throw error
  }
}

class ExecProcess implements BoxProcess {
  readonly stdin: Writable
  readonly stdout = new PassThrough()
  readonly stderr = new PassThrough()
  readonly exited: Promise<number>
  readonly #engine: Engine
  readonly #ref: BoxRef
  readonly #exec: Docker.Exec
  readonly #mark: string
  /** Aborted when somebody wants it ended. */
  readonly #killed = new AbortController()
  /** Whether it was ended, and the engine knows. */
  #dead = false
  #exit: (code: number) => void = () => undefined

  constructor(
    engine: Engine,
    ref: BoxRef,
    exec: Docker.Exec,
    mark: string,
    socket: Duplex,
    tty: boolean,
    closing: AbortSignal,
  ) {
    this.#engine = engine
    this.#ref = ref
    this.#exec = exec
    this.#mark = mark
    this.stdin = halfOf(socket)
    // Nobody has to listen: the failure reaches whoever reads or writes, and `exited`.
    for (const stream of [socket, this.stdin, this.stdout, this.stderr]) stream.on('error', () => undefined)
    this.exited = new Promise((resolve, reject) => {
      this.#exit = resolve
      forBox(ref.tenant, 'ready', this.#watch(socket, tty, closing)).then(resolve, reject)
    })
    this.exited.catch(() => undefined)
  }

  async resize(columns: number, rows: number): Promise<void> {
    const resized = this.#engine.call('resize a terminal', () => this.#exec.resize({ h: rows, w: columns }))
    await forBox(this.#ref.tenant, 'ready', resized)
  }

  kill(): Promise<void> {
    // Nobody may be reading what it writes, and over that the engine would hold up all that happens in its box.
    this.#killed.abort()
    return forBox(this.#ref.tenant, 'ready', this.#kill())
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill()
  }

  async #kill(): Promise<void> {
    const operation = `end a process in the box of ${whose(this.#ref)}`
    const { Running, Pid } = await this.#engine.call(operation, (_, abortSignal) =>
      this.#started(abortSignal),
    )
    if (Running) await this.#end(Pid)
    this.#exit(await this.#engine.call(operation, (_, abortSignal) => this.#exitCode(abortSignal)))
    this.#dead = true
  }

  async #end(pid: number): Promise<void> {
    const ended =
      (await killOnHost(pid, this.#ref.id)) || (await killInBox(this.#engine, this.#ref.id, this.#mark))
    if (!ended && (await this.#inspect()).Running)
      throw boxFailed(
        this.#ref,
        'keeps a process that cannot be ended: its image has no shell, and the engine runs elsewhere or as another user. Stop the box.',
        { phase: 'ready' },
      )
  }

  async #watch(socket: Duplex, tty: boolean, closing: AbortSignal): Promise<number> {
    try {
      const output = this.#engine.follow('send output', (tty ? plain : pieces)(socket), socket, {
        signal: closing,
      })
      let held = 0
      for await (const { stream, bytes } of output) {
        if (this.#killed.signal.aborted) held += bytes.length
        if (held <= MOST_HELD) await passOn(bytes, this[stream], this.#killed.signal)
        // What it started may have outlived it, and write without end. Before the engine knows that it is dead, it would
        // take this for its end, with an exit code of its own invention.
        else if (this.#dead) break
      }
      this.stdout.end()
      this.stderr.end()
    } catch (error) {
      this.stdout.destroy(error as Error)
      this.stderr.destroy(error as Error)
      throw error
    }
    return await this.#exitCode(closing)
  }

  /**
   * Running with its pid, or ended. The engine connects before it has the process run: one that is not running and has no
   * exit code is yet to begin. To end one without a pid from inside the box would hang.
   */
  #started(signal: AbortSignal): Promise<Docker.ExecInspectInfo> {
    const hasBegun = ({ Running, Pid, ExitCode }: Docker.ExecInspectInfo) =>
      Running ? Pid > 0 : ExitCode !== null
    return this.#askFor((info) => (hasBegun(info) ? info : undefined), signal)
  }

  /** The output ends a moment before the engine knows the exit code; or long before, when the process closed it. */
  #exitCode(signal: AbortSignal): Promise<number> {
    return this.#askFor(({ Running, ExitCode }) => (Running ? undefined : (ExitCode ?? undefined)), signal)
  }

  /** Asks the engine until its answer has what `find` looks for. */
  async #askFor<T>(find: (info: Docker.ExecInspectInfo) => T | undefined, signal: AbortSignal): Promise<T> {
    for (let wait = FIRST_POLL_MS; ; wait = Math.min(wait * 2, LONGEST_POLL_MS)) {
      const found = find(await this.#inspect(signal))
      if (found !== undefined) return found
      await delay(wait, undefined, { signal }).catch(() => signal.throwIfAborted())
    }
  }

  #inspect(signal?: AbortSignal): Promise<Docker.ExecInspectInfo> {
    return this.#engine.call('tell of a command', (_, abortSignal) => this.#exec.inspect({ abortSignal }), {
      signal,
    })
  }
}

/** The writing half of the connection: ending it is the process's end of file, and what it still says is read. */
function halfOf(socket: Duplex): Writable {
  return new Writable({
    write: (chunk, encoding, done) => void socket.write(chunk, encoding, done),
    final: (done) => void socket.end(done),
    destroy: (error, done) => {
      socket.end()
      done(error)
    },
  })
}

async function* plain(socket: AsyncIterable<unknown>): AsyncGenerator<Pick<Piece, 'stream' | 'bytes'>> {
  for await (const chunk of socket) yield { stream: 'stdout', bytes: chunk as Buffer }
}

/** Waits for a slow reader, until `signal` is aborted; a reader that has gone is written to no more. */
async function passOn(bytes: Buffer, to: PassThrough, signal: AbortSignal): Promise<void> {
  if (to.destroyed || to.write(bytes) || signal.aborted) return
  const gone = new AbortController()
  try {
    await Promise.race([once(to, 'drain', gone), once(to, 'close', gone), once(signal, 'abort', gone)])
  } finally {
    gone.abort()
  }
}
