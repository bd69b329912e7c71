import type { Lease, TenantBox, TenantPool } from '@tenantbox/core'
import type { Handling } from './handling.js'

type Outcome = 'handled' | 'left to the queue'

/**
 * Letters that are handled as soon as they are in the mailbox, beside what their tenant has in hand. Their turn in the
 * queue comes all the same: it waits for this handling, and takes over if that fails or the process ends before.
 */
export class BroughtForward {
  readonly #handlings = new Map<string, Promise<Outcome>>()

  /** Resolves with what `post` does. */
  async begin(
    id: string,
    post: () => Promise<{ duplicate: boolean }>,
    handle: () => Promise<void>,
  ): Promise<{ duplicate: boolean }> {
    const posted = post()
    const handling = posted.then(async ({ duplicate }): Promise<Outcome> => {
      if (duplicate) return 'left to the queue'
      await handle()
      return 'handled'
    })
    // Its failure is its turn's, or the post's.
    handling.catch(() => undefined)
    this.#handlings.set(id, handling)
    try {
      const { duplicate } = await posted
      if (duplicate) this.#handlings.delete(id)
      return { duplicate }
    } catch (error) {
      this.#handlings.delete(id)
      throw error
    }
  }

  /** What its turn in the queue finds: whether it was handled. @throws what its handling failed with, once */
  async wasHandled(id: string): Promise<boolean> {
    const handling = this.#handlings.get(id)
    this.#handlings.delete(id)
    return (await handling) === 'handled'
  }
}

/** The handling of a letter that was brought forward. */
export class EarlyHandling implements Handling, Disposable {
  readonly tenant: string
  readonly id: string
  readonly attempt = 1
  readonly signal: AbortSignal
  readonly #pool: TenantPool
  #lease: Promise<Lease> | undefined

  constructor(tenant: string, id: string, pool: TenantPool, signal: AbortSignal) {
    this.tenant = tenant
    this.id = id
    this.signal = signal
    this.#pool = pool
  }

  async box(): Promise<TenantBox> {
    this.#lease ??= this.#pool.lease(this.tenant, { signal: this.signal })
    return (await this.#lease).box
  }

  [Symbol.dispose](): void {
    // A lease that was not to be had needs no release.
    this.#lease?.then(
      (lease) => lease.release(),
      () => undefined,
    )
  }
}
