import type { Duplex } from 'node:stream'
import { orAbort } from '../abort.js'
import type {
  BoxIdentity,
  BoxProcess,
  BoxRecord,
  BoxRef,
  BoxStats,
  Driver,
  DriverCall,
  DriverEvent,
  DriverReport,
  LogLine,
  LogsRequest,
  PoolIdentity,
  ResolvedBoxSpec,
  SpawnRequest,
} from '../driver.js'
import { TenantBoxError } from '../errors.js'
import { invalidOption } from '../units.js'
import { dialUnixSocket } from '../unix-socket.js'
import { startWarning } from '../warnings.js'
import { boxFailed } from './box-failure.js'
import { AGENT_SOCKET } from './environment.js'
import { dialPort } from './ports.js'
import type { ProcessBox } from './process-box.js'
import { ProcessEngine } from './process-engine.js'
import { toProcessSpec } from './process-spec.js'
import { statsOf } from './stats.js'

const UNISOLATED =
  'The process driver isolates nothing: every agent runs as this user, with its files, its network and no limits. Use it for development only.'

interface Session {
  readonly engine: ProcessEngine
  readonly closing: AbortController
}

export class ProcessDriver implements Driver {
  readonly name = 'process'
  readonly supports = { pause: true, isolation: 'none', survivesRestart: false } as const
  /** Stays, with its boxes, from one `open` to the next. */
  #engine: ProcessEngine | undefined
  /** Only while it is open. */
  #session: Session | undefined

  async open(pool: PoolIdentity, { signal }: DriverCall = {}): Promise<DriverReport> {
    signal?.throwIfAborted()
    assertPosix()
    if (this.#engine && this.#engine.pool.owner !== pool.owner)
      throw invalidOption('driver', 'a process driver of its own for each pool', 'that of another pool')
    const engine = this.#engine ?? this.#firstEngine(pool)
    await engine.endLeftovers()
    await engine.hold(true)
    this.#session = { engine, closing: new AbortController() }
    return {
      engine: `processes of Node.js ${process.version} on ${process.platform}`,
      warnings: [{ ...startWarning('UNISOLATED', UNISOLATED), printed: true }],
      transport: 'socket',
    }
  }

  async close(): Promise<void> {
    const session = this.#session
    this.#session = undefined
    session?.closing.abort(closed())
    await session?.engine.hold(false)
  }

  async watch({ signal }: { signal: AbortSignal }): Promise<AsyncIterable<DriverEvent>> {
    const { engine, closing } = this.#opened(signal)
    return engine.watch([signal, closing.signal])
  }

  async list({ signal }: DriverCall = {}): Promise<readonly BoxRecord[]> {
    return this.#opened(signal).engine.boxes.map(({ record }) => record)
  }

  async inspect(ref: BoxRef, { signal }: DriverCall = {}): Promise<BoxRecord | undefined> {
    return this.#opened(signal).engine.get(ref.id)?.record
  }

  async find(slug: string, { signal }: DriverCall = {}): Promise<BoxRecord | undefined> {
    const box = await this.#opened(signal).engine.named(slug)
    return box?.record
  }

  async prepare(spec: ResolvedBoxSpec, { signal }: DriverCall = {}): Promise<{ image: string }> {
    signal?.throwIfAborted()
    return { image: toProcessSpec(spec).image }
  }

  async create(identity: BoxIdentity, spec: ResolvedBoxSpec, { signal }: DriverCall = {}): Promise<BoxRef> {
    return this.#opened(signal).engine.create(identity, toProcessSpec(spec))
  }

  async setAside(ref: BoxRef, { signal }: DriverCall = {}): Promise<void> {
    this.#opened(signal).engine.rename(this.#box(ref), true)
  }

  async restore(ref: BoxRef, { signal }: DriverCall = {}): Promise<void> {
    this.#opened(signal).engine.rename(this.#box(ref), false)
  }

  async start(ref: BoxRef, { signal }: DriverCall = {}): Promise<{ startedAt: number }> {
    return orAbort(this.#box(ref, signal).start(), signal)
  }

  async pause(ref: BoxRef, { signal }: DriverCall = {}): Promise<void> {
    this.#box(ref, signal).pause()
  }

  async resume(ref: BoxRef, { signal }: DriverCall = {}): Promise<void> {
    this.#box(ref, signal).resume()
  }

  async stop(ref: BoxRef, { signal, graceMs }: DriverCall & { graceMs: number }): Promise<void> {
    const box = this.#opened(signal).engine.get(ref.id)
    if (box) await orAbort(box.stop(graceMs), signal)
  }

  async remove(ref: BoxRef, { signal }: DriverCall = {}): Promise<void> {
    const { engine } = this.#opened(signal)
    const box = engine.get(ref.id)
    if (box) await orAbort(engine.remove(box), signal)
  }

  async spawn(ref: BoxRef, request: SpawnRequest, { signal }: DriverCall = {}): Promise<BoxProcess> {
    if (request.tty) throw invalidOption('tty', 'left out: the process driver has no terminals', request.tty)
    return this.#box(ref, signal).spawn(request)
  }

  async *logs(ref: BoxRef, request: LogsRequest = {}, { signal }: DriverCall = {}): AsyncGenerator<LogLine> {
    const { logs } = this.#box(ref, signal)
    const { closing } = this.#opened(signal)
    yield* logs.read(request, signal ? AbortSignal.any([signal, closing.signal]) : closing.signal)
  }

  async stats(ref: BoxRef, { signal }: DriverCall = {}): Promise<BoxStats> {
    return orAbort(statsOf(this.#box(ref, signal).groups), signal)
  }

  async dial(
    ref: BoxRef,
    { signal, port }: DriverCall & { port?: number | undefined } = {},
  ): Promise<Duplex> {
    const box = this.#box(ref, signal)
    if (box.record.state === 'stopped') throw boxFailed(ref, 'is not running.')
    if (port === undefined) return dialUnixSocket(box.folders.run, AGENT_SOCKET, { signal })
    return dialPort(box.portOf(port), signal)
  }

  #firstEngine(pool: PoolIdentity): ProcessEngine {
    process.stderr.write(`TenantBox: ${UNISOLATED}\n`)
    this.#engine = new ProcessEngine(pool)
    return this.#engine
  }

  #opened(signal?: AbortSignal): Session {
    signal?.throwIfAborted()
    if (!this.#session) throw closed()
    return this.#session
  }

  #box(ref: BoxRef, signal?: AbortSignal): ProcessBox {
    const box = this.#opened(signal).engine.get(ref.id)
    if (!box) throw boxFailed(ref, 'is gone.')
    return box
  }
}

function assertPosix(): void {
  if (process.platform !== 'win32') return
  throw new TenantBoxError(
    'UNSUPPORTED_ENGINE',
    'The process driver needs process groups and unix sockets, which Windows does not have. Run it in WSL, or use docker().',
    { endpoint: 'process', missing: 'POSIX process groups' },
  )
}

function closed(): TenantBoxError<'POOL_CLOSED'> {
  return new TenantBoxError('POOL_CLOSED', 'The process driver is not open. Start the pool first.', {})
}
