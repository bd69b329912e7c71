import type { Json } from '../agent-events.js'
import { GuardedEmitter } from '../guarded-emitter.js'
import type { TenantPool } from '../pool.js'
import { toMessage } from '../text.js'
import { Deliveries } from './deliveries.js'
import type { DurableFiles } from './durable-files.js'
import { mailboxClosed } from './mailbox-errors.js'
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

  /**
   * @param text the message as its file holds it
   * @param share how much of the bounds such messages may fill, from 0 to 1
   */
  async post(tenant: string, id: string, text: string, share: number): Promise<{ duplicate: boolean }> {
    this.#assertTaking()
    if (!this.#folders) await this.#open()
    this.#assertTaking()
    const mailbox = this.#mailboxes.get(tenant)
    try {
      return await mailbox.post(id, text, share)
    } finally {
      void mailbox.quiet().then(() => this.#mailboxes.settled(mailbox))
    }
  }

  async retryFailed(tenant?: string): Promise<number> {
    this.#assertTaking()
    const folders = await this.#open()
    const tenants = tenant === undefined ? [...folders.known()].map(({ id }) => id) : [tenant]
    let retried = 0
    await inParallel(tenants, async (id) => {
      this.#assertTaking()
      try {
        if ((await this.#maildirOf(id).count('failed')) === 0) return
        const mailbox = this.#mailboxes.get(id)
        const revived = await mailbox.retryFailed()
        retried += revived
        this.#deliveries.arrived(mailbox)
      } catch (cause) {
        this.#assertTaking()
        this.#deliveries.troubled(this.#mailboxes.get(id), cause)
      }
    })
    return retried
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

  close(drainMs: number): Promise<void> {
    if (this.#phase.name !== 'closing' && this.#phase.name !== 'closed')
      this.#phase = { name: 'closing', done: this.#shut(drainMs) }
    return this.#phase.done
  }

  async #start(): Promise<{ replayed: number }> {
    const folders = await this.#open()
    let replayed = 0
    await inParallel([...folders.known()], async ({ id }) => {
      this.#assertTaking()
      const known = this.#mailboxes.find(id)
      try {
        if (!known && (await this.#maildirOf(id).count('new')) === 0) return
        const waiting = await this.#mailboxes.get(id).count()
        replayed += waiting
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
    return new Maildir(this.#folders.mailboxOf(tenant), this.#options.files)
  }

  #assertTaking(): void {
    if (this.#phase.name === 'closing' || this.#phase.name === 'closed') throw mailboxClosed()
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
      ensureFolder: async (tenant) => this.#folders?.ensureFolder(tenant),
      arriving: (tenant) => this.#deliveries.arriving(this.#mailboxes.get(tenant)),
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

function discarded(tenant: string): DOMException {
  return new DOMException(
    `The files of tenant ${JSON.stringify(tenant)} are deleted, its messages among them.`,
    'AbortError',
  )
}
