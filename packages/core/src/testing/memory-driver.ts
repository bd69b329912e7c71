import { join } from 'node:path'
import type { Duplex } from 'node:stream'
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
import { asideName, boxName } from '../identity.js'
import { EventStream } from '../process/event-stream.js'
import { TenantDirs } from '../tenant-dirs.js'
import type { EngineCalls } from './engine-calls.js'
import type { DriverOperation, Faults } from './faults.js'
import type { MemoryBox } from './memory-box.js'
import { boxFailed, connectionRefused, driverClosed, foreignBox, noImage } from './memory-errors.js'
import type { MemoryImages } from './memory-images.js'
import { labelsOf, type MemoryStore, ownedBy, toRecord } from './memory-store.js'
import type { Reach } from './reach.js'

/** What the driver needs of its engine. */
export interface MemoryDriverHost {
  readonly store: MemoryStore
  readonly images: MemoryImages
  readonly calls: EngineCalls
  readonly faults: Faults
  readonly reach: Reach
  readonly supports: Driver['supports']
  readonly report: DriverReport
}

interface Session {
  readonly pool: PoolIdentity
  readonly closing: AbortController
}

/** What a process that is dead hears. */
function never(): Promise<never> {
  return new Promise(() => undefined)
}

/** The driver of a `MemoryEngine`: whatever it is asked is done at once, unless a fault says otherwise. */
export class MemoryDriver implements Driver {
  readonly name = 'memory'
  readonly supports: Driver['supports']
  readonly #host: MemoryDriverHost
  #crashed = false
  #session: Session | undefined

  constructor(host: MemoryDriverHost) {
    this.#host = host
    this.supports = host.supports
  }

  async open(pool: PoolIdentity, options?: DriverCall): Promise<DriverReport> {
    const call = { operation: 'open', slug: undefined, box: undefined } as const
    const report = await this.#host.calls.run(call, options?.signal, () => this.#host.report)
    this.#session = { pool, closing: new AbortController() }
    return report
  }

  /**
   * As if this driver's process was killed: what it had begun at the engine is done, but no call is ever answered again,
   * nor any event heard.
   */
  crash(): void {
    this.#crashed = true
  }

  async close(): Promise<void> {
    this.#session?.closing.abort(driverClosed())
    this.#session = undefined
  }

  watch(options: { signal: AbortSignal }): Promise<AsyncIterable<DriverEvent>> {
    return this.#call('watch', {}, options, () => this.#subscribe(options.signal))
  }

  list(options?: DriverCall): Promise<readonly BoxRecord[]> {
    return this.#call('list', {}, options, (pool) =>
      this.#host.store.boxes.flatMap((box) => toRecord(pool, box) ?? []),
    )
  }

  inspect(ref: BoxRef, options?: DriverCall): Promise<BoxRecord | undefined> {
    return this.#call('inspect', ref, options, (pool) => {
      const box = this.#host.store.get(ref.id)
      return box && toRecord(pool, box)
    })
  }

  find(slug: string, options?: DriverCall): Promise<BoxRecord | undefined> {
    return this.#call('find', { slug }, options, (pool) => {
      const box = this.#host.store.named(boxName(pool.name, slug))
      if (!box) return undefined
      const record = toRecord(pool, box)
      if (!record) throw foreignBox(box.name)
      return record
    })
  }

  prepare(
    spec: ResolvedBoxSpec,
    options?: DriverCall & { onPull?: ((progress: PullProgress) => void) | undefined },
  ): Promise<{ image: string }> {
    return this.#call('prepare', {}, options, () => {
      const { id } = this.#image(spec)
      options?.onPull?.({ image: spec.image, done: 1, total: 1, finished: true })
      return { image: id }
    })
  }

  create(
    { tenant, slug, spec: hash }: BoxIdentity,
    spec: ResolvedBoxSpec,
    options?: DriverCall,
  ): Promise<BoxRef> {
    return this.#call('create', { slug }, options, (pool) => {
      const { image } = this.#image(spec)
      const name = boxName(pool.name, slug)
      const taken = this.#host.store.named(name)
      const there = taken && toRecord(pool, taken)
      // An earlier try whose answer was lost.
      if (there?.spec === hash) return there.ref
      this.#assertFree(pool, name)
      const { workspace, run, gateway } = new TenantDirs(pool.dataDir).folders(slug)
      const env = {
        HOME: workspace,
        ...spec.env,
        TENANTBOX_SOCKET: join(run, 'agent.sock'),
        TENANTBOX_GATEWAY: join(gateway, 'gateway.sock'),
      }
      const { id } = this.#host.store.add({
        name,
        labels: labelsOf(pool, tenant, hash),
        image,
        command: spec.command ?? [],
        memoryLimit: spec.limits.memory,
        process: { tenant, env, cwd: workspace },
      })
      return { id, tenant, slug }
    })
  }

  setAside(ref: BoxRef, options?: DriverCall): Promise<void> {
    return this.#call('setAside', ref, options, (pool) =>
      this.#rename(pool, ref, asideName(pool.name, ref.slug)),
    )
  }

  restore(ref: BoxRef, options?: DriverCall): Promise<void> {
    return this.#call('restore', ref, options, (pool) =>
      this.#rename(pool, ref, boxName(pool.name, ref.slug)),
    )
  }

  start(ref: BoxRef, options?: DriverCall): Promise<{ startedAt: number }> {
    return this.#call('start', ref, options, () => {
      const box = this.#box(ref)
      box.start()
      box.resume()
      return { startedAt: box.startedAt }
    })
  }

  pause(ref: BoxRef, options?: DriverCall): Promise<void> {
    return this.#call('pause', ref, options, () => this.#live(ref).pause())
  }

  resume(ref: BoxRef, options?: DriverCall): Promise<void> {
    return this.#call('resume', ref, options, () => this.#live(ref).resume())
  }

  stop(ref: BoxRef, options: DriverCall & { graceMs: number }): Promise<void> {
    return this.#call('stop', ref, options, () => this.#host.store.get(ref.id)?.stop(options.graceMs))
  }

  remove(ref: BoxRef, options?: DriverCall): Promise<void> {
    return this.#call('remove', ref, options, () => this.#host.store.get(ref.id)?.remove())
  }

  spawn(ref: BoxRef, request: SpawnRequest, options?: DriverCall): Promise<BoxProcess> {
    return this.#call(
      'spawn',
      ref,
      options,
      () => {
        const process = this.#box(ref).spawn(request)
        if (!process) throw boxFailed(ref, 'is not running')
        return process
      },
      (process) => void process.kill(),
    )
  }

  async *logs(ref: BoxRef, request: LogsRequest = {}, options?: DriverCall): AsyncGenerator<LogLine> {
    const box = await this.#call('logs', ref, options, () => this.#box(ref))
    const endings = [this.#host.reach.lost, this.#opened.closing.signal]
    if (options?.signal) endings.push(options.signal)
    yield* box.logs.read(request, AbortSignal.any(endings))
  }

  stats(ref: BoxRef, options?: DriverCall): Promise<BoxStats> {
    return this.#call('stats', ref, options, () => {
      const { processes, memoryLimit } = this.#box(ref)
      return { at: this.#host.store.clock.now(), cpuSeconds: 0, memoryBytes: 0, memoryLimit, pids: processes }
    })
  }

  health(ref: BoxRef, options?: DriverCall): Promise<'starting' | 'healthy' | 'unhealthy'> {
    return this.#call('health', ref, options, () => this.#box(ref).health)
  }

  dial(ref: BoxRef, options?: DriverCall & { port?: number | undefined }): Promise<Duplex> {
    return this.#call(
      'dial',
      ref,
      options,
      () => {
        const connection = this.#box(ref).dial()
        if (!connection) throw connectionRefused(ref)
        // It may break before whoever asked for it hears that it is there.
        connection.on('error', () => undefined)
        return connection
      },
      (connection) => connection.destroy(),
    )
  }

  async #call<T>(
    operation: DriverOperation,
    about: { readonly id?: string; readonly slug?: string },
    options: DriverCall | undefined,
    effect: (pool: PoolIdentity) => T | Promise<T>,
    release?: (result: T) => void,
  ): Promise<T> {
    const call = { operation, slug: about.slug, box: about.id }
    try {
      if (this.#crashed) return await never()
      const { pool } = this.#opened
      return await this.#host.calls.run(call, options?.signal, () => effect(pool), release)
    } finally {
      if (this.#crashed) await never()
    }
  }

  get #opened(): Session {
    if (!this.#session) throw driverClosed()
    return this.#session
  }

  #subscribe(signal: AbortSignal): AsyncIterable<DriverEvent> {
    const { store, faults, reach } = this.#host
    const { lost } = reach
    const { pool, closing } = this.#opened
    const events = new EventStream<DriverEvent>()
    const unsubscribe = store.subscribe((type, box, before) => {
      const ref = ownedBy(pool, box) ?? ownedBy(pool, box, before)
      if (ref && !this.#crashed) faults.send({ type, ref, at: store.stamp() }, (event) => events.push(event))
    })
    const endings = [signal, lost, closing.signal]
    const end = (): void => {
      unsubscribe()
      for (const ending of endings) ending.removeEventListener('abort', end)
      events.end(lost.aborted ? { error: lost.reason } : undefined)
    }
    for (const ending of endings) ending.addEventListener('abort', end)
    return events
  }

  #image(spec: ResolvedBoxSpec): NonNullable<ReturnType<MemoryImages['find']>> {
    const build = this.#host.images.find(spec.image)
    if (build) return build
    throw noImage(spec.image)
  }

  #assertFree(pool: PoolIdentity, name: string): void {
    const taken = this.#host.store.named(name)
    if (!taken) return
    const ref = ownedBy(pool, taken)
    throw ref ? boxFailed(ref, 'is there already', 'create') : foreignBox(name)
  }

  #rename(pool: PoolIdentity, ref: BoxRef, name: string): void {
    const box = this.#box(ref)
    if (box.name === name) return
    this.#assertFree(pool, name)
    box.rename(name)
  }

  #box(ref: BoxRef): MemoryBox {
    const box = this.#host.store.get(ref.id)
    if (!box) throw boxFailed(ref, 'is gone')
    return box
  }

  #live(ref: BoxRef): MemoryBox {
    const box = this.#box(ref)
    if (box.state === 'stopped') throw boxFailed(ref, 'is not running')
    return box
  }
}
