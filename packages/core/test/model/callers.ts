import { orAbort } from '../../src/abort.js'
import type { TenantBox } from '../../src/index.js'
import type { Gateway } from './gateway.js'
import { Uses } from './uses.js'
import type { World } from './world.js'

/** Somebody who waits for a call. */
export interface Call {
  readonly gateway: Gateway
  readonly what: string
  readonly tenant: string | undefined
  /** Whether the pool was open before. */
  readonly wasOpen: boolean
  /** Whether the pool had lost its engine before. */
  readonly wasDown: boolean
  readonly controller: AbortController
}

export type Settled = Call & { readonly outcome: { readonly value: unknown } | { readonly error: unknown } }

/** Somebody who is at work in a box, under a lease. */
export interface Work {
  readonly gateway: Gateway
  readonly box: TenantBox
  readonly signal: AbortSignal
  finish(): void
  /** It is in use no longer. */
  over(): void
}

/** All who want something of a pool. */
export class Callers {
  readonly waiting = new Set<Call>()
  readonly working = new Set<Work>()
  /** The newest handle that each tenant's callers were given. */
  readonly handles = new Map<string, { box: TenantBox; gateway: Gateway }>()
  readonly uses = new Uses()
  readonly #world: World
  #texts = 0

  constructor(world: World) {
    this.#world = world
  }

  begin(
    gateway: Gateway,
    what: string,
    tenant: string | undefined,
    work: (signal: AbortSignal) => Promise<unknown>,
  ): void {
    const controller = new AbortController()
    const wasDown = gateway.opened && gateway.pool.stats().engine === 'down'
    const call: Call = { gateway, what, tenant, wasOpen: gateway.opened, wasDown, controller }
    this.waiting.add(call)
    const settle = (outcome: Settled['outcome']): void => {
      this.waiting.delete(call)
      if (!gateway.process.killed)
        for (const watch of this.#world.watchers.settled) watch({ ...call, outcome })
    }
    work(controller.signal).then(
      (value) => {
        gateway.isOpen()
        settle({ value })
      },
      (error: unknown) => settle({ error }),
    )
  }

  ensure(gateway: Gateway, tenant: string, timeout: number | undefined): void {
    this.begin(gateway, 'ensure', tenant, async (signal) => {
      const box = await gateway.pool.ensure(tenant, { signal, timeout })
      if (gateway.process.killed) return
      this.handles.set(tenant, { box, gateway })
      this.used(tenant)
    })
  }

  /** Works until `finish`, or until its lease ends. */
  use(gateway: Gateway, tenant: string, timeout?: number): void {
    this.begin(gateway, 'use', tenant, (signal) =>
      gateway.pool.use(
        tenant,
        async (box, leased) => {
          const use = this.uses.begin(tenant, this.#world.clock.monotonic())
          let finish = (): void => undefined
          const finished = new Promise<void>((resolve) => {
            finish = resolve
          })
          const over = (): void => {
            use.to = Math.min(use.to, this.#world.clock.monotonic())
          }
          const work: Work = { gateway, box, signal: leased, finish, over }
          this.working.add(work)
          try {
            await orAbort(finished, leased)
          } finally {
            work.over()
            this.working.delete(work)
          }
        },
        { signal, timeout },
      ),
    )
  }

  send(gateway: Gateway, tenant: string): void {
    const text = `message ${++this.#texts}`
    this.begin(gateway, `send ${text}`, tenant, (signal) =>
      gateway.pool.send(tenant, text, { signal }).text(),
    )
  }

  /** An operation of a handle that may be old. */
  fetch(tenant: string): void {
    const handle = this.handles.get(tenant)
    if (!handle) return
    const { box, gateway } = handle
    this.begin(gateway, 'fetch', tenant, async (signal) => {
      const response = await box.fetch('/healthz', { signal })
      await response.text()
    })
  }

  used(tenant: string): void {
    this.uses.note(tenant, this.#world.clock.monotonic())
  }

  /** The callers of a process that is gone are gone too. */
  drop(gateway: Gateway): void {
    for (const call of this.waiting) if (call.gateway === gateway) this.waiting.delete(call)
    for (const work of this.working) {
      if (work.gateway !== gateway) continue
      work.over()
      this.working.delete(work)
    }
    for (const [tenant, handle] of this.handles) if (handle.gateway === gateway) this.handles.delete(tenant)
  }
}
