import { connect } from 'node:net'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import pLimit from 'p-limit'
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
  PullProgress,
  ResolvedBoxSpec,
  SpawnRequest,
} from '../driver.js'
import { TenantBoxError } from '../errors.js'
import { dialUnixSocket } from '../unix-socket.js'
import { AGENT_SOCKET, WORKSPACE } from './box-config.js'
import { boxFailed, boxGone, Containers, forBox } from './containers.js'
import { Creation } from './creation.js'
import { Engine } from './engine.js'
import { refusalOf } from './engine-failure.js'
import { watchBoxes, watchImages } from './events.js'
import { spawnInBox } from './exec.js'
import { ImageAccounts } from './image-accounts.js'
import { Images } from './images.js'
import { Lifecycle } from './lifecycle.js'
import { Logs } from './logs.js'
import { Networks } from './networks.js'
import type { ResolvedDockerOptions } from './options.js'
import { ownerFilter } from './ownership.js'
import {
  assertSupported,
  type EngineInfo,
  type EngineVersion,
  gatewayFacts,
  type Probed,
  probe,
} from './probes.js'
import { isStopped, listedRecord } from './records.js'
import { readStats } from './stats.js'

/** Live boxes asked about at the same time when all are listed. */
const INSPECTED_AT_ONCE = 16
/** `close` waits no longer for an engine that is away. */
const CLOSING_DEADLINE_MS = 5_000

/** What there is between `open` and `close`. */
interface Session {
  readonly pool: PoolIdentity
  readonly probed: Probed
  readonly containers: Containers
  readonly images: Images
  readonly networks: Networks
  readonly lifecycle: Lifecycle
  readonly logs: Logs
  readonly creation: Creation
  readonly closing: AbortController
}

export class DockerDriver implements Driver {
  readonly name = 'docker'
  readonly supports = { pause: true, isolation: 'container', survivesRestart: true } as const
  readonly #options: ResolvedDockerOptions
  readonly #engine: Engine
  #session: Session | undefined

  constructor(options: ResolvedDockerOptions) {
    this.#options = options
    this.#engine = new Engine(options.client, options.ownsClient, options.callTimeout)
  }

  async open(pool: PoolIdentity, options: DriverCall = {}): Promise<DriverReport> {
    const accounts = new ImageAccounts(this.#engine, pool)
    const [probed] = await Promise.all([this.#probe(options), accounts.removeLeftovers(options)])
    const containers = new Containers(this.#engine, pool)
    const images = new Images(this.#engine, this.#options)
    const networks = new Networks(this.#engine, pool)
    const logs = new Logs(containers)
    const lifecycle = new Lifecycle(containers, logs)
    const creation = new Creation({
      containers,
      images,
      accounts,
      networks,
      lifecycle,
      options: this.#options,
      probed,
    })
    this.#session = {
      pool,
      probed,
      containers,
      images,
      networks,
      lifecycle,
      logs,
      creation,
      closing: new AbortController(),
    }
    return probed.report
  }

  async watch({ signal }: { signal: AbortSignal }): Promise<AsyncIterable<DriverEvent>> {
    const { pool, probed, images, closing } = this.#opened
    // Both streams end together: ids of images may be kept only as long as the pool is told of boxes.
    const either = new AbortController()
    const both = { signal: AbortSignal.any([signal, closing.signal, either.signal]) }
    try {
      const [events] = await Promise.all([
        watchBoxes(this.#engine, pool, probed.clockSkew, both),
        watchImages(this.#engine, images, both),
      ])
      return endingWith(events, either)
    } catch (error) {
      either.abort()
      throw error
    }
  }

  async list(options: DriverCall = {}): Promise<readonly BoxRecord[]> {
    const { pool, containers } = this.#opened
    const found = await this.#engine.call(
      'list containers',
      (client, abortSignal) =>
        client.listContainers({ all: true, filters: { label: ownerFilter(pool) }, abortSignal }),
      options,
    )
    const limit = pLimit(INSPECTED_AT_ONCE)
    const records = await limit.map(found, async (listed) => {
      const record = listedRecord(pool, listed)
      if (record && isStopped(listed)) return record
      try {
        return await containers.record({ id: listed.Id, tenant: '', slug: '' }, options)
      } catch (error) {
        // One that the engine tells no more of keeps nobody from the others.
        if (refusalOf(error)) return record
        throw error
      }
    })
    return records.filter((record) => record !== undefined)
  }

  inspect(ref: BoxRef, options: DriverCall = {}): Promise<BoxRecord | undefined> {
    return forBox(ref.tenant, 'start', this.#opened.containers.record(ref, options))
  }

  find(slug: string, options: DriverCall = {}): Promise<BoxRecord | undefined> {
    return forBox(undefined, 'create', this.#opened.creation.find(slug, options))
  }

  async prepare(
    { image }: ResolvedBoxSpec,
    { onPull, ...options }: DriverCall & { onPull?: ((progress: PullProgress) => void) | undefined } = {},
  ): Promise<{ image: string }> {
    return { image: await forBox(undefined, 'pull', this.#opened.images.prepare(image, options, onPull)) }
  }

  create(identity: BoxIdentity, spec: ResolvedBoxSpec, options: DriverCall = {}): Promise<BoxRef> {
    return forBox(identity.tenant, 'create', this.#opened.creation.create(identity, spec, options))
  }

  setAside(ref: BoxRef, options: DriverCall = {}): Promise<void> {
    return forBox(ref.tenant, 'create', this.#opened.lifecycle.setAside(ref, options))
  }

  restore(ref: BoxRef, options: DriverCall = {}): Promise<void> {
    return forBox(ref.tenant, 'create', this.#opened.lifecycle.restore(ref, options))
  }

  start(ref: BoxRef, options: DriverCall = {}): Promise<{ startedAt: number; already: boolean }> {
    return forBox(ref.tenant, 'start', this.#opened.lifecycle.start(ref, options))
  }

  pause(ref: BoxRef, options: DriverCall = {}): Promise<void> {
    return forBox(ref.tenant, 'start', this.#opened.lifecycle.pause(ref, options))
  }

  resume(ref: BoxRef, options: DriverCall = {}): Promise<void> {
    return forBox(ref.tenant, 'start', this.#opened.lifecycle.resume(ref, options))
  }

  stop(ref: BoxRef, options: DriverCall & { graceMs: number }): Promise<void> {
    return forBox(ref.tenant, 'start', this.#opened.lifecycle.stop(ref, options))
  }

  remove(ref: BoxRef, options: DriverCall = {}): Promise<void> {
    return forBox(ref.tenant, 'start', this.#opened.lifecycle.remove(ref, options))
  }

  spawn(ref: BoxRef, request: SpawnRequest, options: DriverCall = {}): Promise<BoxProcess> {
    // The engine's default is where the image begins.
    const { cwd = WORKSPACE } = request
    return spawnInBox(this.#engine, ref, { ...request, cwd }, this.#opened.closing.signal, options)
  }

  logs(ref: BoxRef, request: LogsRequest = {}, { signal }: DriverCall = {}): AsyncIterable<LogLine> {
    const { logs, closing } = this.#opened
    return logs.read(ref, request, {
      signal: signal ? AbortSignal.any([signal, closing.signal]) : closing.signal,
    })
  }

  stats(ref: BoxRef, options: DriverCall = {}): Promise<BoxStats> {
    return forBox(ref.tenant, 'ready', readStats(this.#engine, ref, options))
  }

  async health(ref: BoxRef, options: DriverCall = {}): Promise<'starting' | 'healthy' | 'unhealthy'> {
    const container = await forBox(ref.tenant, 'ready', this.#opened.containers.inspect(ref.id, options))
    if (!container) throw boxGone(ref)
    const status = container.State.Health?.Status
    if (status === 'starting' || status === 'healthy' || status === 'unhealthy') return status
    throw boxFailed(
      ref,
      'has no health check: give its image a HEALTHCHECK, or use another value for box.ready.',
      { phase: 'ready' },
    )
  }

  async dial(
    ref: BoxRef,
    { signal, port }: DriverCall & { port?: number | undefined } = {},
  ): Promise<Duplex> {
    const { pool, containers } = this.#opened
    if (port === undefined)
      return dialUnixSocket(join(pool.dataDir, ref.slug, 'run'), AGENT_SOCKET, { signal })
    const container = await forBox(ref.tenant, 'ready', containers.inspect(ref.id, { signal }))
    if (!container) throw boxGone(ref)
    const published = container.NetworkSettings.Ports?.[`${port}/tcp`]?.[0]?.HostPort
    if (published === undefined) throw boxFailed(ref, `publishes no port ${port}.`, { phase: 'ready' })
    return connected(Number(published), signal)
  }

  async close(): Promise<void> {
    const session = this.#session
    this.#session = undefined
    if (!session) return
    session.closing.abort(closed())
    try {
      await session.networks.removeUnused({ signal: AbortSignal.timeout(CLOSING_DEADLINE_MS) })
    } catch {
      // The engine is away or busy: a network without boxes costs nothing and is found again at the next start.
    }
    this.#engine.close()
  }

  get #opened(): Session {
    if (this.#session) return this.#session
    throw closed()
  }

  async #probe(options: DriverCall): Promise<Probed> {
    const [version, info] = await Promise.all([
      this.#engine.call('tell its version', (client) => client.version() as Promise<EngineVersion>, options),
      this.#engine.call('tell what it can do', (client) => client.info() as Promise<EngineInfo>, options),
    ])
    const endpoint = await this.#engine.endpoint()
    assertSupported(endpoint, version, info, this.#options)
    return probe(version, info, await gatewayFacts(endpoint, info), this.#options, Date.now())
  }
}

async function* endingWith<T>(
  events: AsyncIterable<T>,
  controller: AbortController,
): AsyncGenerator<T, void> {
  try {
    yield* events
  } finally {
    controller.abort()
  }
}

function closed(): TenantBoxError<'POOL_CLOSED'> {
  return new TenantBoxError('POOL_CLOSED', 'The Docker driver is not open. Start the pool first.', {})
}

function connected(port: number, signal: AbortSignal | undefined): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, ...(signal ? { signal } : {}) })
    socket.once('error', (error) => reject(signal?.aborted ? signal.reason : error))
    socket.once('connect', () => {
      socket.removeAllListeners('error')
      resolve(socket)
    })
  })
}
