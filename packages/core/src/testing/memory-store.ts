import type { Clock } from '../clock.js'
import type { BoxRecord, BoxRef, DriverEvent, PoolIdentity } from '../driver.js'
import { asideName, boxName, LABELS, slugOf } from '../identity.js'
import { MemoryBox, type MemoryBoxHost, type MemoryBoxOptions } from './memory-box.js'

/** `before`: the name the box had until now. */
export type StoreListener = (type: DriverEvent['type'], box: MemoryBox, before: string) => void

/** The boxes of a `MemoryEngine`, whosever they are. */
export class MemoryStore implements MemoryBoxHost {
  readonly clock: Clock
  readonly #boxes = new Map<string, MemoryBox>()
  readonly #byName = new Map<string, MemoryBox>()
  readonly #listeners = new Set<StoreListener>()
  readonly #maxLive = new Map<string, number>()
  #made = 0
  #latest = Number.NEGATIVE_INFINITY
  #stamps = 0

  constructor(clock: Clock) {
    this.clock = clock
  }

  get boxes(): readonly MemoryBox[] {
    return [...this.#boxes.values()]
  }

  get(id: string): MemoryBox | undefined {
    return this.#boxes.get(id)
  }

  named(name: string): MemoryBox | undefined {
    return this.#byName.get(name)
  }

  add(options: Omit<MemoryBoxOptions, 'id'>): MemoryBox {
    const box = new MemoryBox({ ...options, id: `box-${++this.#made}` }, this)
    this.#boxes.set(box.id, box)
    this.#byName.set(box.name, box)
    return box
  }

  /** The most boxes of this tenant that were ever live at the same time, over all pools. */
  maxLive(tenant: string): number {
    return this.#maxLive.get(tenant) ?? 0
  }

  subscribe(listener: StoreListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  happened(type: DriverEvent['type'], box: MemoryBox, before = box.name): void {
    if (type === 'renamed' || type === 'removed') this.#byName.delete(before)
    if (type === 'renamed') this.#byName.set(box.name, box)
    if (type === 'removed') this.#boxes.delete(box.id)
    if (type === 'started') this.#countLive(box.tenant)
    for (const listener of this.#listeners) listener(type, box, before)
  }

  /** Milliseconds and, so that two lives never begin at the same time on a clock that stands still, thousandths. */
  stamp(): number {
    const now = this.clock.now()
    if (now > this.#latest) {
      this.#latest = now
      this.#stamps = 0
    }
    return now + this.#stamps++ / 1000
  }

  #countLive(tenant: string): void {
    const live = this.boxes.filter((box) => box.tenant === tenant && box.state !== 'stopped').length
    this.#maxLive.set(tenant, Math.max(live, this.maxLive(tenant)))
  }
}

/** The labels of a box that `pool` makes. */
export function labelsOf(pool: PoolIdentity, tenant: string, spec: string): Readonly<Record<string, string>> {
  return {
    [LABELS.pool]: pool.name,
    [LABELS.owner]: pool.owner,
    [LABELS.tenant]: tenant,
    [LABELS.spec]: spec,
    [LABELS.version]: '1',
  }
}

/** Whose box it is: `pool`'s only if the labels of pool, owner and tenant and the exact name all agree. */
export function ownedBy(pool: PoolIdentity, box: MemoryBox, name = box.name): BoxRef | undefined {
  const { [LABELS.pool]: poolName, [LABELS.owner]: owner, [LABELS.tenant]: tenant } = box.labels
  if (poolName !== pool.name || owner !== pool.owner || tenant === undefined) return undefined
  const slug = slugOf(tenant)
  const ours = name === boxName(pool.name, slug) || name === asideName(pool.name, slug)
  return ours ? { id: box.id, tenant, slug } : undefined
}

export function toRecord(pool: PoolIdentity, box: MemoryBox): BoxRecord | undefined {
  const ref = ownedBy(pool, box)
  if (!ref || box.state === 'removed') return undefined
  return {
    ref,
    state: box.state,
    startedAt: box.startedAt,
    spec: box.labels[LABELS.spec] ?? '',
    aside: box.name === asideName(pool.name, ref.slug),
    exit: box.exit,
  }
}
