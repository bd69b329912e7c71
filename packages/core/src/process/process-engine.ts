import { randomUUID } from 'node:crypto'
import type { BoxIdentity, BoxRef, DriverEvent, PoolIdentity } from '../driver.js'
import { TenantDirs } from '../tenant-dirs.js'
import { boxFailed } from './box-failure.js'
import { EventStream } from './event-stream.js'
import { ProcessBox, type ProcessBoxHost } from './process-box.js'
import type { ProcessSpec } from './process-spec.js'
import { ShortPaths } from './short-paths.js'
import { sweep } from './sweep.js'
import { Watchdog } from './watchdog.js'

/** The boxes of one pool, and what is told of them. They live no longer than this process. */
export class ProcessEngine implements ProcessBoxHost {
  readonly pool: PoolIdentity
  readonly watchdog: Watchdog
  readonly #boxes = new Map<string, ProcessBox>()
  readonly #watches = new Set<EventStream<DriverEvent>>()
  readonly #dirs: TenantDirs
  /** Begins the marks of this engine's processes. */
  readonly #mark: string
  #paths: ShortPaths

  constructor(pool: PoolIdentity) {
    this.pool = pool
    this.#mark = `${pool.owner}/${randomUUID()}`
    this.#dirs = new TenantDirs(pool.dataDir)
    this.watchdog = new Watchdog(this.#mark)
    this.#paths = this.#newPaths()
  }

  get paths(): ShortPaths {
    return this.#paths
  }

  get boxes(): readonly ProcessBox[] {
    return [...this.#boxes.values()]
  }

  get(id: string): ProcessBox | undefined {
    return this.#boxes.get(id)
  }

  /** The box that has this tenant's name. One that is being removed is waited out. */
  async named(slug: string): Promise<ProcessBox | undefined> {
    for (;;) {
      const box = this.#holder(slug)
      if (!box?.condemned) return box
      await this.remove(box)
    }
  }

  /** Ends what an earlier process of this pool has left, should that have died together with its watchdog. */
  async endLeftovers(): Promise<void> {
    await sweep(`${this.pool.owner}/`, this.#mark)
  }

  async create({ tenant, slug, spec: hash }: BoxIdentity, spec: ProcessSpec): Promise<BoxRef> {
    await this.named(slug)
    // From here to the end nothing awaits, so that nobody can take the name in between.
    const there = this.#holder(slug)
    if (there?.record.spec === hash) return there.ref
    if (there)
      throw boxFailed(there.ref, 'is there already, made from another spec. Remove it first.', {
        phase: 'create',
      })
    const ref: BoxRef = { id: randomUUID(), tenant, slug }
    const mark = `${this.#mark}/${ref.id}`
    this.#boxes.set(
      ref.id,
      new ProcessBox({ ref, hash, spec, mark, folders: this.#dirs.folders(slug) }, this),
    )
    return ref
  }

  /** Sets a box aside, or gives it its name back. */
  rename(box: ProcessBox, aside: boolean): void {
    const taken = this.boxes.some(
      (other) => other !== box && other.ref.slug === box.ref.slug && other.aside === aside,
    )
    if (taken)
      throw boxFailed(box.ref, 'cannot be renamed: another has that name. Remove that first.', {
        phase: 'create',
      })
    box.rename(aside)
  }

  async remove(box: ProcessBox): Promise<void> {
    await box.remove()
    if (this.#boxes.delete(box.ref.id)) this.happened('removed', box.ref)
  }

  happened(type: DriverEvent['type'], ref: BoxRef): void {
    for (const watch of this.#watches) watch.push({ type, ref, at: Date.now() })
  }

  watch(endings: readonly AbortSignal[]): AsyncIterable<DriverEvent> {
    const events = new EventStream<DriverEvent>()
    const end = (): void => {
      for (const ending of endings) ending.removeEventListener('abort', end)
      this.#watches.delete(events)
      events.end()
    }
    for (const ending of endings) ending.addEventListener('abort', end)
    this.#watches.add(events)
    return events
  }

  /** Whether this process, while it has nothing else to do, waits for the boxes. Without any there is no watchdog either. */
  async hold(held: boolean): Promise<void> {
    await Promise.all(this.boxes.map((box) => box.hold(held)))
    if (held || this.boxes.some((box) => box.record.state !== 'stopped')) return
    await this.watchdog.end()
    this.#paths = this.#newPaths()
  }

  #holder(slug: string): ProcessBox | undefined {
    return this.boxes.find((box) => box.ref.slug === slug && !box.aside)
  }

  #newPaths(): ShortPaths {
    return new ShortPaths((folder) => this.watchdog.remove(folder))
  }
}
