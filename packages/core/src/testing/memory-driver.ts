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
import { TenantBoxError } from '../errors.js'
import { asideName, boxName } from '../identity.js'
import { EventStream } from '../process/event-stream.js'
import { TenantDirs } from '../tenant-dirs.js'
import type { EngineCalls } from './engine-calls.js'
import type { DriverOperation, Faults } from './faults.js'
import type { MemoryBox } from './memory-box.js'
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

/** The driver of a `MemoryEngine`: whatever it is asked is done at once, unless a fault says otherwise. */
export class MemoryDriver implements Driver {
  readonly name = 'memory'
  readonly supports: Driver['supports']
  readonly #host: MemoryDriverHost
  readonly #watches = new Set<() => void>()
  #pool: PoolIdentity | undefined

  constructor(host: MemoryDriverHost) {
    this.#host = host
    this.supports = host.supports
  }

  open(pool: PoolIdentity, options?: DriverCall): Promise<DriverReport> {
    return this.#call('open', {}, options, () => {
      this.#pool = pool
      return this.#host.report
    })
  }

  async close(): Promise<void> {
    for (const end of this.#watches) end()
  }

  watch(options: { signal: AbortSignal }): Promise<AsyncIterable<DriverEvent>> {
    return this.#call('watch', {}, options, () => this.#subscribe(options.signal))
  }

  list(options?: DriverCall): Promise<readonly BoxRecord[]> {
    return this.#call('list', {}, options, () =>
      this.#host.store.boxes.flatMap((box) => toRecord(this.#opened, box) ?? []),
    )
  }

  inspect(ref: BoxRef, options?: DriverCall): Promise<BoxRecord | undefined> {
    return this.#call('inspect', ref, options, () => {
      const box = this.#host.store.get(ref.id)
      return box && toRecord(this.#opened, box)
    })
  }

  find(slug: string, options?: DriverCall): Promise<BoxRecord | undefined> {
    return this.#call('find', { slug }, options, () => {
      const box = this.#host.store.named(boxName(this.#opened.name, slug))
      if (!box) return undefined
      const record = toRecord(this.#opened, box)
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
    return this.#call('create', { slug }, options, () => {
      const pool = this.#opened
      const { image } = this.#image(spec)
      const name = this.#freeName(boxName(pool.name, slug))
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
    return this.#call('setAside', ref, options, () =>
      this.#rename(ref, asideName(this.#opened.name, ref.slug)),
    )
  }

  restore(ref: BoxRef, options?: DriverCall): Promise<void> {
    return this.#call('restore', ref, options, () => this.#rename(ref, boxName(this.#opened.name, ref.slug)))
  }

  start(ref: BoxRef, options?: DriverCall): Promise<{ startedAt: number }> {
    return this.#call('start', ref, options, () => {
      const box = this.#box(ref)
      if (box.state === 'paused') throw failed(ref, 'is paused: resume it')
      box.start()
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
        if (!process) throw failed(ref, 'is not running')
        return process
      },
      (process) => void process.kill(),
    )
  }

  async *logs(ref: BoxRef, request: LogsRequest = {}, options?: DriverCall): AsyncGenerator<LogLine> {
    const { lost } = this.#host.reach
    const box = await this.#call('logs', ref, options, () => this.#box(ref))
    yield* box.logs.read(request, options?.signal ? AbortSignal.any([options.signal, lost]) : lost)
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
        if (!connection)
          throw Object.assign(new Error(`The box of ${ref.slug} refuses connections.`), {
            code: 'ECONNREFUSED',
          })
        return connection
      },
      (connection) => connection.destroy(),
    )
  }

  get #opened(): PoolIdentity {
    if (!this.#pool) throw new Error('The memory driver is not open yet.')
    return this.#pool
  }

  #call<T>(
    operation: DriverOperation,
    about: { readonly id?: string; readonly slug?: string },
    options: DriverCall | undefined,
    effect: () => T | Promise<T>,
    release?: (result: T) => void,
  ): Promise<T> {
    const call = { operation, slug: about.slug, box: about.id }
    return this.#host.calls.run(call, options?.signal, effect, release)
  }

  #subscribe(signal: AbortSignal): AsyncIterable<DriverEvent> {
    const { store, faults, reach } = this.#host
    const { lost } = reach
    const pool = this.#opened
    const events = new EventStream<DriverEvent>()
    const unsubscribe = store.subscribe((type, box, before) => {
      const ref = ownedBy(pool, box) ?? ownedBy(pool, box, before)
      if (ref) faults.send({ type, ref, at: store.stamp() }, (event) => events.push(event))
    })
    const end = (): void => {
      unsubscribe()
      this.#watches.delete(end)
      for (const ending of [signal, lost]) ending.removeEventListener('abort', end)
      events.end(lost.aborted ? { error: lost.reason } : undefined)
    }
    for (const ending of [signal, lost]) ending.addEventListener('abort', end)
    this.#watches.add(end)
    return events
  }

  #image(spec: ResolvedBoxSpec): NonNullable<ReturnType<MemoryImages['find']>> {
    const build = this.#host.images.find(spec.image)
    if (build) return build
    throw new TenantBoxError(
      'START_FAILED',
      `There is no image ${JSON.stringify(spec.image)}. Name one that the engine was given, or build it.`,
      { phase: 'pull', oom: false, lastLogs: [] },
    )
  }

  #freeName(name: string): string {
    const taken = this.#host.store.named(name)
    if (!taken) return name
    const ref = ownedBy(this.#opened, taken)
    throw ref ? failed(ref, 'is there already', 'create') : foreignBox(name)
  }

  #rename(ref: BoxRef, name: string): void {
    const box = this.#box(ref)
    if (box.name !== name) box.rename(this.#freeName(name))
  }

  #box(ref: BoxRef): MemoryBox {
    const box = this.#host.store.get(ref.id)
    if (!box) throw failed(ref, 'is gone')
    return box
  }

  #live(ref: BoxRef): MemoryBox {
    const box = this.#box(ref)
    if (box.state === 'stopped') throw failed(ref, 'is not running')
    return box
  }
}

function failed(
  ref: BoxRef,
  why: string,
  phase: 'create' | 'start' = 'start',
): TenantBoxError<'START_FAILED'> {
  return new TenantBoxError(
    'START_FAILED',
    `The box of tenant ${JSON.stringify(ref.tenant)} ${why}.`,
    { phase, oom: false, lastLogs: [] },
    { tenant: ref.tenant },
  )
}

function foreignBox(name: string): TenantBoxError<'FOREIGN_BOX'> {
  return new TenantBoxError(
    'FOREIGN_BOX',
    `The box named ${JSON.stringify(name)} was not made by this pool. Remove or rename it, or give the pool another name.`,
    { box: name },
  )
}
