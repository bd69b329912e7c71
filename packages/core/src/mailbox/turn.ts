import { onAbort } from '../abort.js'
import type { Json } from '../agent-events.js'
import type { Lease, TenantPool } from '../pool.js'
import type { TenantBox } from '../tenant-box.js'

/** One handling of one message. */
export interface Turn<B extends Json = Json> {
  readonly tenant: string
  /** As it was posted. The same again is the same message again: the attempt before may have done some of its work. */
  readonly id: string
  readonly body: B
  /** Counts from 1. */
  readonly attempt: number
  /** Aborts when the handler should end: the mailbox closes, the lease has ended, the tenant's files are deleted. */
  readonly signal: AbortSignal
  /** Awake and leased until the handler settles. Lazy: a handler that does not ask wakes nobody. */
  box(): Promise<TenantBox>
}

/** A turn under way. */
export class OpenTurn<B extends Json> implements Turn<B> {
  readonly tenant: string
  readonly id: string
  readonly body: B
  readonly attempt: number
  readonly #pool: Pick<TenantPool, 'lease'>
  readonly #stopping: AbortSignal
  readonly #controller = new AbortController()
  /** Ends the waiting for a lease, and the lease. */
  readonly #leasing = new AbortController()
  #asked: Promise<Lease> | undefined
  #lease: Lease | undefined
  #over = false

  /** @param stopping from then on nobody is waked any more; who is awake goes on */
  constructor(
    about: Pick<Turn<B>, 'tenant' | 'id' | 'body' | 'attempt'>,
    pool: Pick<TenantPool, 'lease'>,
    stopping: AbortSignal,
  ) {
    this.tenant = about.tenant
    this.id = about.id
    this.body = about.body
    this.attempt = about.attempt
    this.#pool = pool
    this.#stopping = stopping
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Whether the handler was given the box. */
  get hadBox(): boolean {
    return this.#lease !== undefined
  }

  async box(): Promise<TenantBox> {
    if (this.#over) throw new TypeError('This turn is over. Ask for its box before the handler settles.')
    this.#asked ??= this.#acquire()
    return (await this.#asked).box
  }

  abort(reason: unknown): void {
    this.#controller.abort(reason)
    this.#leasing.abort(reason)
  }

  /** The handler has settled. */
  end(): void {
    this.#over = true
    this.#lease?.release()
    this.#leasing.abort(new DOMException('The turn is over.', 'AbortError'))
  }

  async #acquire(): Promise<Lease> {
    const undo = onAbort(this.#stopping, () => this.#leasing.abort(this.#stopping.reason))
    try {
      const lease = await this.#pool.lease(this.tenant, { signal: this.#leasing.signal })
      onAbort(lease.signal, () => this.abort(lease.signal.reason))
      this.#lease = lease
      return lease
    } catch (error) {
      // The handler may ask again.
      this.#asked = undefined
      throw error
    } finally {
      undo()
    }
  }
}
