import { type Clock, systemClock } from '../clock.js'
import type { Driver, DriverReport } from '../driver.js'
import { EngineCalls } from './engine-calls.js'
import { type DriverOperation, Faults } from './faults.js'
import type { MemoryBox } from './memory-box.js'
import { MemoryDriver, type MemoryDriverHost } from './memory-driver.js'
import { fillImage, type MemoryImage } from './memory-image.js'
import { MemoryImages } from './memory-images.js'
import { MemoryStore } from './memory-store.js'
import { Reach } from './reach.js'

export interface MemoryOptions extends MemoryImage {
  /** The only images there are, by name. @default every name is an image that holds what these options say */
  readonly images?: Readonly<Record<string, MemoryImage>> | undefined
  /** Times the grace of a stop, delays, and what boxes and logs are dated by. @default the system's */
  readonly clock?: Clock | undefined
  /** @default all that a driver can, without isolation */
  readonly supports?: Partial<Driver['supports']> | undefined
  /** What `open` reports. @default no warnings, sockets, no uids */
  readonly report?: Partial<DriverReport> | undefined
}

/**
 * An engine whose boxes are records in memory and whose agents are functions. It outlives any pool on it: what a
 * gateway that was killed leaves behind, a new pool with a new `driver()` finds.
 */
export class MemoryEngine {
  /** What goes wrong between driver and engine. */
  readonly faults: Faults
  readonly #host: MemoryDriverHost

  constructor(options: MemoryOptions = {}) {
    const clock = options.clock ?? systemClock
    const reach = new Reach()
    const faults = new Faults(clock)
    const images = new MemoryImages(options.images ? undefined : options)
    for (const [name, image] of Object.entries(options.images ?? {})) images.build(name, image)
    this.faults = faults
    this.#host = {
      store: new MemoryStore(clock),
      images,
      calls: new EngineCalls(faults, reach),
      faults,
      reach,
      supports: {
        pause: options.supports?.pause ?? true,
        isolation: options.supports?.isolation ?? 'none',
        survivesRestart: options.supports?.survivesRestart ?? true,
      },
      report: {
        engine: options.report?.engine ?? 'memory',
        warnings: options.report?.warnings ?? [],
        transport: options.report?.transport ?? 'socket',
        uids: options.report?.uids,
      },
    }
  }

  /** A driver of this engine, as each process that uses it has one. */
  driver(): MemoryDriver {
    return new MemoryDriver(this.#host)
  }

  /** Every box there is, in the order they were made. */
  get boxes(): readonly MemoryBox[] {
    return this.#host.store.boxes
  }

  /** The newest box of a tenant, to do to it what others than the pool may do. */
  box(tenant: string): MemoryBox | undefined {
    return this.boxes.findLast((box) => box.tenant === tenant)
  }

  /** The most boxes of this tenant that were ever live at one time: never more than 1. */
  maxLive(tenant: string): number {
    return this.#host.store.maxLive(tenant)
  }

  /** How many calls reached the engine, of one operation or of all. */
  calls(operation?: DriverOperation): number {
    return this.#host.calls.count(operation)
  }

  /** A box that somebody else made, whatever its name and labels say. */
  plant(box: {
    readonly name: string
    readonly labels?: Readonly<Record<string, string>> | undefined
  }): MemoryBox {
    return this.#host.store.add({
      name: box.name,
      labels: box.labels ?? {},
      image: fillImage({}),
      command: [],
      memoryLimit: 0,
      process: { tenant: '', env: {}, cwd: '/' },
    })
  }

  /** Makes an image, or another one under a name that is taken: its boxes then have drifted. */
  build(name: string, image: MemoryImage = {}): void {
    this.#host.images.build(name, image)
  }

  /**
   * Loses the engine: every call, also those under way, fails with `ENGINE_UNAVAILABLE`, and event streams end. Boxes
   * live on and can be dialled by those connected to them, unless `boxes: 'stop'` ends them too, unseen.
   */
  down({ boxes = 'keep' }: { boxes?: 'keep' | 'stop' } = {}): void {
    this.#host.reach.down()
    if (boxes === 'stop') for (const box of this.boxes) box.kill()
  }

  up(): void {
    this.#host.reach.up()
  }
}

/**
 * A driver for tests of an app: no engine, no containers, and agents that are functions.
 *
 * @example memoryDriver({ agent: (request, { tenant }) => new Response(`hello ${tenant}`) })
 */
export function memoryDriver(options: MemoryOptions = {}): Driver {
  return new MemoryEngine(options).driver()
}
