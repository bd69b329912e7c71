import type { Json } from '../agent-events.js'
import { TenantBoxError } from '../errors.js'
import { GuardedEmitter } from '../guarded-emitter.js'
import { slugOf } from '../identity.js'
import { accessTo } from '../pool.js'
import { toMessage } from '../text.js'
import { type Duration, toMilliseconds } from '../units.js'
import { AGENT_POSTS_PATH, agentPostsHandler } from './agent-posts.js'
import { Deliveries } from './deliveries.js'
import { durableFiles } from './durable-files.js'
import type { MailboxEvents } from './mailbox-events.js'
import { type MailboxOptions, type ResolvedMailboxOptions, resolveMailboxOptions } from './mailbox-options.js'
import { Mailboxes } from './mailboxes.js'
import { Maildir } from './maildir.js'
import { formatMessage } from './message-file.js'
import { keyOf } from './message-name.js'
import type { MailboxFolders, PoolAccess } from './pool-access.js'
import { TenantMailbox, type TenantMailboxHost } from './tenant-mailbox.js'

/** Folders looked into at the same time. */
const AT_ONCE = 32

/**
 * `storing`: posts are taken, nothing is handled yet. `closing`: what is under way comes to its end. `closed`: nothing
 * touches the disk any more.
 */
type Phase =
  | { readonly name: 'storing' }
  | { readonly name: 'handling'; readonly started: Promise<{ replayed: number }> }
  | { readonly name: 'closing' | 'closed'; readonly done: Promise<void> }

/**
 * The durable queue of all tenants' messages. What `post` has taken is handled at least once, whatever happens to this
 * process; in the order of the posts for each tenant, and tenants beside each other. A message that fails is tried again,
 * and keeps its tenant's next ones waiting until it is handled or parked in `failed/`.
 *
 * @example
 * const mailbox = new Mailbox<{ text: string }>({
 *   pool,
 *   handle: async (turn) => {
 *     const box = await turn.box()
 *     console.log(await box.send({ id: turn.id, text: turn.body.text, attempt: turn.attempt }).text())
 *   },
 * })
 * await mailbox.start()
 * await mailbox.post('user-42', { id: 'update-1', body: { text: 'hello' } })
 */
export class Mailbox<B extends Json = Json> implements AsyncDisposable {
  readonly #options: ResolvedMailboxOptions<B>
  readonly #access: PoolAccess
  readonly #events: GuardedEmitter<MailboxEvents>
  readonly #mailboxes: Mailboxes<B>
  readonly #deliveries: Deliveries<B>
  readonly #leave: (() => void)[]
  #phase: Phase = { name: 'storing' }
  #opening: Promise<MailboxFolders> | undefined
  /** Once the pool is open. */
  #folders: MailboxFolders | undefined
  #waiting = 0

  /** @throws TenantBoxError `INVALID_OPTION`, also for a pool that has a mailbox already */
  constructor(options: MailboxOptions<B>) {
    this.#options = resolveMailboxOptions(options)
    const { pool, handle, concurrency, maxAttempts } = this.#options
    this.#access = accessTo(pool)
    const { clock, warn } = this.#access
    this.#events = new GuardedEmitter((event, cause) =>
      warn('LISTENER_FAILED', `A '${event}' listener failed: ${toMessage(cause)}`, { cause }),
    )
    this.#deliveries = new Deliveries<B>({
      clock,
      pool,
      concurrency,
      maxAttempts,
      handle,
      warn,
      emit: (event, payload) => this.#events.emit(event, payload),
      settled: (mailbox) => this.#mailboxes.settled(mailbox),
    })
    this.#mailboxes = new Mailboxes(
      (tenant) => new TenantMailbox(tenant, this.#maildirOf(tenant), this.#host()),
      (mailbox) => mailbox.waiting > 0 || mailbox.busy || this.#deliveries.has(mailbox),
    )
    const leaveSeat = this.#access.seat.take({
      discard: (tenant, move) => this.#discard(tenant, move),
      close: (drainMs) => this.#close(drainMs),
    })
    try {
      this.#leave = [leaveSeat, ...this.#serveAgents()]
    } catch (error) {
      leaveSeat()
      throw error
    }
  }

  /**
   * Begins to handle messages, those first that wait since before. Opens the pool if need be. A failed start can be
   * repeated.
   *
   * @throws TenantBoxError what `pool.start` throws
   */
  start(): Promise<{ replayed: number }> {
    if (this.#phase.name === 'storing') {
      const started = this.#start()
      this.#phase = { name: 'handling', started }
      started.catch(() => {
        if (this.#phase.name === 'handling') this.#phase = { name: 'storing' }
      })
    }
    return this.#phase.name === 'handling' ? this.#phase.started : Promise.reject(mailboxClosed())
  }

  /**
   * Resolves once the message is durable: it is handled whatever happens then. Posts of one tenant keep the order of the
   * calls. One whose id is known (waiting, failed, or handled within `keepDone`) is a duplicate: nothing is stored. Opens
   * the pool if need be; before `start` messages are stored only.
   *
   * @param message `id`: 1 to 1,024 bytes; `body`: JSON. Both together at most 1 MiB
   * @throws TenantBoxError `MAILBOX_FULL`, `NOT_STORED` (the disk is full or broken), `TOO_LARGE`, `INVALID_TENANT`,
   * `INVALID_OPTION`, `POOL_CLOSED`, and what `pool.start` throws; in all cases nothing is stored, and it can be posted again
   */
  async post(tenant: string, message: { id: string; body: B }): Promise<{ duplicate: boolean }> {
    this.#assertTaking()
    slugOf(tenant)
    const { id, body } = message
    const text = formatMessage(tenant, { id, body, postedAt: this.#access.clock.now() })
    if (!this.#folders) await this.#open()
    this.#assertTaking()
    const mailbox = this.#mailboxes.get(tenant)
    try {
      return await mailbox.post(id, keyOf(id), text)
    } finally {
      void mailbox.quiet().then(() => this.#mailboxes.settled(mailbox))
    }
  }

  /** Has failed messages wait again, of one tenant or of all, each in its old place; resolves with how many. */
  async retryFailed(tenant?: string): Promise<number> {
    this.#assertTaking()
    if (tenant !== undefined) slugOf(tenant)
    const folders = await this.#open()
    const tenants = tenant === undefined ? [...folders.tenants()].map(({ id }) => id) : [tenant]
    let retried = 0
    await inParallel(tenants, async (id) => {
      this.#assertTaking()
      if ((await this.#maildirOf(id).count('failed')) === 0) return
      const mailbox = this.#mailboxes.get(id)
      retried += await mailbox.retryFailed()
      this.#deliveries.arrived(mailbox)
    })
    return retried
  }

  /** Listens to an event until the returned function is called. */
  on<K extends keyof MailboxEvents>(event: K, listener: (event: MailboxEvents[K]) => void): () => void {
    return this.#events.on(event, listener)
  }

  /**
   * Takes and begins nothing more, and lets go of everything. What waits is handled after the next start. The pool stays
   * open; closing the pool closes its mailbox first.
   *
   * @param options `drain`: how long turns have to end by themselves before their signals abort, '10s' by default
   */
  async close(options: { drain?: Duration | undefined } = {}): Promise<void> {
    await this.#close(toMilliseconds('drain', options.drain ?? '10s'))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** @throws TenantBoxError `INVALID_OPTION` when the app serves that path itself */
  #serveAgents(): (() => void)[] {
    const { fromAgent, pool } = this.#options
    if (!fromAgent) return []
    const handler = agentPostsHandler(fromAgent, (tenant, message) => this.post(tenant, message))
    return [pool.serve(AGENT_POSTS_PATH, handler)]
  }

  async #start(): Promise<{ replayed: number }> {
    const folders = await this.#open()
    let replayed = 0
    await inParallel([...folders.tenants()], async ({ id }) => {
      this.#assertTaking()
      const known = this.#mailboxes.find(id)
      try {
        if (!known && (await this.#maildirOf(id).count('new')) === 0) return
        replayed += await this.#mailboxes.get(id).count()
      } catch (cause) {
        this.#assertTaking()
        this.#deliveries.troubled(this.#mailboxes.get(id), cause)
      }
    })
    this.#assertTaking()
    for (const mailbox of this.#mailboxes.values()) this.#deliveries.arrived(mailbox)
    this.#deliveries.begin()
    return { replayed }
  }

  #open(): Promise<MailboxFolders> {
    this.#opening ??= this.#access.folders()
    this.#opening.then(
      (folders) => {
        this.#folders = folders
      },
      () => {
        this.#opening = undefined
      },
    )
    return this.#opening
  }

  #maildirOf(tenant: string): Maildir {
    if (!this.#folders) throw mailboxClosed()
    return new Maildir(this.#folders.pathOf(tenant), durableFiles)
  }

  async #discard<T>(tenant: string, move: () => Promise<T>): Promise<T> {
    await this.#open()
    const mailbox = this.#mailboxes.get(tenant)
    this.#deliveries.discarded(mailbox, discarded(tenant))
    try {
      return await mailbox.discard(move)
    } finally {
      this.#mailboxes.settled(mailbox)
    }
  }

  #close(drainMs: number): Promise<void> {
    if (this.#phase.name !== 'closing' && this.#phase.name !== 'closed')
      this.#phase = { name: 'closing', done: this.#shut(drainMs) }
    return this.#phase.done
  }

  async #shut(drainMs: number): Promise<void> {
    await this.#deliveries.close(mailboxClosed(), drainMs)
    await this.#quiet()
    // A handler that was given up may settle at any time: from here on that comes to nothing.
    this.#phase = { name: 'closed', done: this.#quiet() }
    await this.#phase.done
    for (const leave of this.#leave) leave()
  }

  async #quiet(): Promise<void> {
    await Promise.all([...this.#mailboxes.values()].map((mailbox) => mailbox.quiet()))
  }

  #assertTaking(): void {
    if (this.#phase.name === 'closing' || this.#phase.name === 'closed') throw mailboxClosed()
  }

  #host(): TenantMailboxHost {
    const { clock, warn } = this.#access
    const { maxAttempts, maxDepth, maxWaiting, keepDoneMs } = this.#options
    const waiting = (): number => this.#waiting
    return {
      clock,
      warn,
      maxAttempts,
      maxDepth,
      maxWaiting,
      keepDoneMs,
      get waiting() {
        return waiting()
      },
      assertOpen: () => {
        if (this.#phase.name === 'closed') throw mailboxClosed()
      },
      ensure: async (tenant) => this.#folders?.ensure(tenant),
      waitingChanged: (by) => {
        this.#waiting += by
      },
      posted: (tenant, post) => {
        this.#events.emit('posted', { tenant, at: clock.now(), ...post })
        this.#deliveries.arrived(this.#mailboxes.get(tenant))
      },
      failed: (tenant, message) => this.#events.emit('failed', { tenant, at: clock.now(), ...message }),
    }
  }
}

async function inParallel<T>(all: readonly T[], work: (one: T) => Promise<void>): Promise<void> {
  const next = all.values()
  const worker = async (): Promise<void> => {
    for (const one of next) await work(one)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
}

function mailboxClosed(): TenantBoxError<'POOL_CLOSED'> {
  return new TenantBoxError(
    'POOL_CLOSED',
    'This mailbox is closed. Make a new Mailbox to go on; what waits in it is kept.',
    {},
  )
}

function discarded(tenant: string): DOMException {
  return new DOMException(
    `The files of tenant ${JSON.stringify(tenant)} are deleted, its messages among them.`,
    'AbortError',
  )
}
