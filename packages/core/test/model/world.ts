import type { Scheduler } from 'fast-check'
import type { DriverEvent } from '../../src/driver.js'
import type { PoolEvents, PoolOptions } from '../../src/index.js'
import {
  type DriverCallInfo,
  type MemoryBox,
  MemoryEngine,
  type Moment,
  testClock,
} from '../../src/testing/index.js'
import { Agents, READY } from './agents.js'
import { Callers, type Settled } from './callers.js'
import type { Conditions } from './conditions.js'
import { Gateway } from './gateway.js'
import { Host } from './host.js'

/** What the promises are judged by. */
interface Watchers {
  readonly called: ((call: DriverCallInfo, moment: Moment) => void)[]
  readonly transition: ((event: PoolEvents['transition'], gateway: Gateway) => void)[]
  readonly queue: ((event: PoolEvents['queue'], gateway: Gateway) => void)[]
  readonly engine: ((event: PoolEvents['engine'], gateway: Gateway) => void)[]
  readonly warning: ((event: PoolEvents['warning'], gateway: Gateway) => void)[]
  readonly settled: ((call: Settled) => void)[]
  readonly opened: ((gateway: Gateway) => void)[]
  readonly crashing: ((gateway: Gateway) => void)[]
  readonly closed: ((gateway: Gateway) => void)[]
}

export type EventWay = 'straight' | 'late' | 'twice' | 'lost'

/** The machine, the engine, the gateways on it, and all who want something of them. */
export class World {
  readonly conditions: Conditions
  readonly clock = testClock(Date.UTC(2026, 0, 1))
  readonly engine: MemoryEngine
  readonly host = new Host(this.clock)
  readonly agents = new Agents(this)
  readonly callers = new Callers(this)
  readonly watchers: Watchers = {
    called: [],
    transition: [],
    queue: [],
    engine: [],
    warning: [],
    settled: [],
    opened: [],
    crashing: [],
    closed: [],
  }
  readonly broken: string[] = []
  readonly strangers: MemoryBox[] = []
  readonly gateways: Gateway[] = []
  /** The process that serves, and another that wants to. */
  gateway: Gateway | undefined
  second: Gateway | undefined
  engineIsUp = true
  image = 'good:1'
  eventWay: EventWay = 'straight'
  eventsWereLost = false
  readonly #scheduler: Scheduler
  readonly #mend = new Set<() => void>()
  readonly #deeds: { readonly point: string; readonly deed: () => void }[] = []
  #calm = false

  constructor(conditions: Conditions, scheduler: Scheduler) {
    this.conditions = conditions
    this.#scheduler = scheduler
    this.engine = new MemoryEngine({ clock: this.clock, images: this.agents.images })
    this.engine.faults.intercept((call, moment) => this.#pass(call, moment))
    this.engine.faults.relayEvents((event, deliver) => this.#relay(event, deliver))
  }

  get isTroubled(): boolean {
    return !this.#calm
  }

  /** What boxes are to be made of now. */
  get spec(): PoolOptions['box'] {
    const { ready } = this.conditions
    return { image: this.image, ready: ready === 'log' ? { log: READY } : ready }
  }

  /** The scheduler decides when this goes on. */
  point(label: string): Promise<void> | undefined {
    if (this.#calm) return undefined
    const planned = this.#deeds.findIndex(({ point }) => label === point)
    const [next] = planned < 0 ? [] : this.#deeds.splice(planned, 1)
    next?.deed()
    return this.#scheduler.schedule(Promise.resolve(), label)
  }

  /** Has something done at the moment when anything next comes to the point that is called so. */
  at(point: string, deed: () => void): void {
    this.#deeds.push({ point, deed })
  }

  spawn(lock: 'fail' | 'wait' = 'fail'): Gateway {
    const gateway = new Gateway(
      this,
      this.host.spawn((step) => this.#slowDisk(step)),
      lock,
    )
    this.gateways.push(gateway)
    return gateway
  }

  /** A fault that ends with the trouble. */
  readonly fault = (undo: () => void): void => {
    this.#mend.add(undo)
  }

  /** From now on everything works, and at once. */
  async calmDown(): Promise<void> {
    this.#calm = true
    for (const undo of this.#mend) undo()
    this.eventWay = 'straight'
    this.engine.up()
    this.engineIsUp = true
    this.agents.recover()
    for (const stranger of this.strangers) stranger.remove()
    await this.#scheduler.waitAll()
  }

  break(promise: string, how: string): void {
    this.broken.push(`${promise}: ${how}`)
  }

  assertKept(): void {
    if (this.broken.length > 0) throw new Error(`A promise is broken.\n  ${this.broken.join('\n  ')}`)
  }

  #slowDisk(step: string): Promise<void> | undefined {
    return this.conditions.slowDisk ? this.point(`disk ${step}`) : undefined
  }

  #pass(call: DriverCallInfo, moment: Moment): Promise<void> | undefined {
    for (const watch of this.watchers.called) watch(call, moment)
    // On the way there nothing has happened yet: that it takes long shows nothing that `during` does not.
    return moment === 'before'
      ? undefined
      : this.point([call.operation, moment, call.slug].join(' ').trimEnd())
  }

  #relay(event: DriverEvent, deliver: (event: DriverEvent) => void): void {
    const later = (): void => {
      const reached = this.point(`event ${event.ref.slug}`)
      if (reached) void reached.then(() => deliver(event))
      else deliver(event)
    }
    if (this.eventWay === 'lost') {
      this.eventsWereLost = true
      return
    }
    if (this.eventWay !== 'late') deliver(event)
    if (this.eventWay !== 'straight') later()
  }
}
