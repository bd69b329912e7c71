import type { Json } from '../agent-events.js'
import { TenantBoxError } from '../errors.js'
import { GuardedEmitter } from '../guarded-emitter.js'
import type { TenantPool } from '../pool.js'
import { toMessage } from '../text.js'
import { Deliveries } from './deliveries.js'
import type { DurableFiles } from './durable-files.js'
import type { MailboxEvents } from './mailbox-events.js'
import type { ResolvedMailboxOptions } from './mailbox-options.js'
import { Mailboxes } from './mailboxes.js'
import { Maildir } from './maildir.js'
import type { MailboxFolders, PoolAccess, SeatedMailbox } from './pool-access.js'
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

/** What a post office works with. */
export interface PostOfficeOptions<B extends Json>
  extends Pick<
    ResolvedMailboxOptions<B>,
    'handle' | 'concurrency' | 'maxAttempts' | 'maxDepth' | 'maxWaiting' | 'keepDoneMs'
  > {
  readonly access: Omit<PoolAccess, 'seat'>
  readonly pool: Pick<TenantPool, 'lease'>
  readonly files: DurableFiles
}

/** All tenants' mailboxes at work, wired together. */
export class PostOffice<B extends Json> implements SeatedMailbox {
  readonly events: GuardedEmitter<MailboxEvents>
  readonly #options: PostOfficeOptions<B>
  readonly #mailboxes: Mailboxes<B>
  readonly #deliveries: Deliveries<B>
  #phase: Phase = { name: 'storing' }
  #opening: Promise<MailboxFolders> | undefined
  /** Once the pool is open. */
  #folders: MailboxFolders | undefined
  #waiting = 0

  constructor(options: PostOfficeOptions<B>) {
    const { clock, warn } = options.access
    this.#options = options
    this.events = new GuardedEmitter((event, cause) =>
      warn('LISTENER_FAILED', `A '${event}' listener failed: ${toMessage(cause)}`, { cause }),
    )
    this.#deliveries = new Deliveries<B>({
      clock,
      warn,
      pool: options.pool,
      concurrency: options.concurrency,
      maxAttempts: options.maxAttempts,
      handle: options.handle,
      emit: (event, payload) => this.events.emit(event, payload),
      settled: (mailbox) => this.#mailboxes.settled(mailbox),
    })
    this.#mailboxes = new Mailboxes(
      (tenant) => new TenantMailbox(tenant, this.#maildirOf(tenant), this.#host()),
      (mailbox) => mailbox.waiting > 0 || mailbox.busy || this.#deliveries.has(mailbox),
    )
  }

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

  /** @param text the message as its file holds it */
  async post(tenant: string, id: string, text: string): Promise<{ duplicate: boolean }> {
    this.assertTaking()
    if (!this.#folders) await this.#open()
    this.assertTaking()
    const mailbox = this.#mailboxes.get(tenant)
    try {
      return await mailbox.post(id, text)
    } finally {
      void mailbox.quiet().then(() => this.#mailboxes.settled(mailbox))
    }
  }

  async retryFailed(tenant?: string): Promise<number> {
    this.assertTaking()
    const folders = await this.#open()
    const tenants = tenant === undefined ? [...folders.tenants()].map(({ id }) => id) : [tenant]
    let retried = 0
    await inParallel(tenants, async (id) => {
      this.assertTaking()
      if ((await this.#maildirOf(id).count('failed')) === 0) return
      const mailbox = this.#mailboxes.get(id)
      retried += await mailbox.retryFailed()
      this.#deliveries.arrived(mailbox)
    })
    return retried
  }

  close(drainMs: number): Promise<void> {
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
  }

  async #quiet(): Promise<void> {
    await Promise.all([...this.#mailboxes.values()].map((mailbox) => mailbox.quiet()))
  }

  /** @throws TenantBoxError `POOL_CLOSED` once it is being closed */
  assertTaking(): void {
    if (this.#phase.name === 'closing' || this.#phase.name === 'closed') throw mailboxClosed()
  }

  async #start(): Promise<{ replayed: number }> {
    const folders = await this.#open()
    let replayed = 0
    await inParallel([...folders.tenants()], async ({ id }) => {
      this.assertTaking()
      const known = this.#mailboxes.find(id)
      try {
        if (!known && (await this.#maildirOf(id).count('new')) === 0) return
        replayed += await this.#mailboxes.get(id).count()
      } catch (cause) {
        this.assertTaking()
        this.#deliveries.troubled(this.#mailboxes.get(id), cause)
      }
    })
    this.assertTaking()
    for (const mailbox of this.#mailboxes.values()) this.#deliveries.arrived(mailbox)
    this.#deliveries.begin()
    return { replayed }
  }

  #open(): Promise<MailboxFolders> {
    this.#opening ??= this.#options.access.folders()
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
    return new Maildir(this.#folders.pathOf(tenant), this.#options.files)
  }

  async discard<T>(tenant: string, move: () => Promise<T>): Promise<T> {
    await this.#open()
    const mailbox = this.#mailboxes.get(tenant)
    this.#deliveries.discarded(mailbox, discarded(tenant))
    try {
      return await mailbox.discard(move)
    } finally {
      this.#mailboxes.settled(mailbox)
    }
  }

  #host(): TenantMailboxHost {
    const { clock, warn } = this.#options.access
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
        this.events.emit('posted', { tenant, at: clock.now(), ...post })
        this.#deliveries.arrived(this.#mailboxes.get(tenant))
      },
      failed: (tenant, message) => this.events.emit('failed', { tenant, at: clock.now(), ...message }),
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
