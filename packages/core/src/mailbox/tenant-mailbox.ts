import type { Json } from '../agent-events.js'
import type { Clock } from '../clock.js'
import { errnoOf } from '../errno.js'
import { Serial } from '../serial.js'
import type { WarningCode } from '../warnings.js'
import { Ledger } from './ledger.js'
import type { Misplaced } from './listing.js'
import { mailboxFull, notStored } from './mailbox-errors.js'
import type { Letter, Maildir } from './maildir.js'
import { type Message, MOST_MESSAGE_BYTES, parseMessage } from './message-file.js'
import { doneNameOf, type Entry, keyOf, nameOf } from './message-name.js'
import { type Bounds, type First, type Post, sortPosts } from './posting.js'

/** Posts of one tenant that are stored together: the disk is asked once to keep their names. */
const BATCH = 32
const FOREIGN = 'is none of its messages'

/** What one tenant's mailbox needs of the whole. */
export interface TenantMailboxHost extends Bounds {
  readonly clock: Clock
  readonly maxAttempts: number
  readonly keepDoneMs: number
  /** @throws TenantBoxError `POOL_CLOSED`; after that nothing may touch the disk */
  assertOpen(): void
  /** Makes the tenant's folder. */
  ensureFolder(tenant: string): Promise<void>
  /** It has nothing waiting, and is about to store what was posted: a turn that can begin at once does that itself. */
  arriving(tenant: string): void
  /** So many more messages wait. */
  waitingChanged(by: number): void
  posted(tenant: string, post: { id: string; duplicate: boolean; depth: number }): void
  /** A message has failed for good, without being handled once more. */
  failed(tenant: string, message: { id: string; attempts: number; cause: unknown }): void
  warn(code: WarningCode, message: string, about: { tenant: string; cause?: unknown }): void
}

/** A message whose attempt is counted, to be handled now. */
export interface Delivery<B extends Json> {
  readonly message: Message<B>
  readonly entry: Entry
  /** Which life of the tenant's folder it is from. */
  readonly life: number
}

/** What became of a delivery. */
export type Outcome = 'done' | 'failed' | 'retry' | 'retry without counting'

interface Owed {
  readonly entry: Entry
  readonly outcome: Outcome
  readonly tell: () => void
}

/** One tenant's mailbox: what is on disk, what of it is known, and one change at a time. */
export class TenantMailbox<B extends Json> {
  readonly tenant: string
  readonly #maildir: Maildir
  readonly #host: TenantMailboxHost
  readonly #serial = new Serial()
  #posts: Post[] = []
  /** Undefined: to be listed at the next use; also after any trouble with the disk, whatever was half done by then. */
  #ledger: Ledger | undefined
  /** Waiting messages as last known without a ledger. */
  #counted = 0
  #storing = 0
  #reported = 0
  /** What a delivery came to, until the disk has it. */
  #owed: Owed | undefined
  #life = 0

  constructor(tenant: string, maildir: Maildir, host: TenantMailboxHost) {
    this.tenant = tenant
    this.#maildir = maildir
    this.#host = host
  }

  get waiting(): number {
    return this.#ledger?.waiting ?? this.#counted
  }

  get busy(): boolean {
    return this.#serial.busy
  }

  /** How much memory it takes, in ids. */
  get weight(): number {
    return this.#ledger?.size ?? 0
  }

  /** Resolves when nothing goes on. */
  quiet(): Promise<void> {
    return this.#serial.run(async () => undefined)
  }

  /** Counts what waits, where that is not known. */
  async count(): Promise<number> {
    return this.#serial.run(async () => {
      this.#host.assertOpen()
      if (!this.#ledger) this.#counted = await this.#maildir.count('new')
      this.#report()
      return this.waiting
    })
  }

  /**
   * Those called first are stored first.
   *
   * @param share how much of the bounds they may fill, from 0 to 1
   * @throws TenantBoxError `MAILBOX_FULL`, `NOT_STORED`, `POOL_CLOSED`
   */
  post(id: string, text: string, share: number): Promise<{ duplicate: boolean }> {
    return new Promise((resolve, reject) => {
      const { maxDepth } = this.#host
      const depth = this.#posts.length
      if (depth >= maxDepth)
        return reject(mailboxFull(this.tenant, { bound: 'tenant', depth, limit: maxDepth }))
      this.#posts.push({ id, key: keyOf(id), text, share, resolve, reject })
      if (this.#posts.length > 1) return
      if (this.#ledger?.waiting === 0) this.#host.arriving(this.tenant)
      void this.#serial.run(() => this.#store('to wait'))
    })
  }

  /**
   * The next message, its attempt counted; undefined when none is left. One that is only being posted is stored with its
   * attempt counted, in one step of the disk instead of two.
   *
   * @throws what the disk says; nothing is lost then
   */
  take(): Promise<Delivery<B> | undefined> {
    const life = this.#life
    return this.#serial.run(async () => {
      const isNext = this.#posts.length > 0 && this.#ledger?.waiting === 0 && !this.#owed
      if (!isNext) return this.#using((ledger) => this.#next(ledger, life))
      const letter = await this.#store('begun')
      const message = letter && parseMessage<B>(letter.text, letter.entry.key)
      return message && { message, entry: letter.entry, life }
    })
  }

  /** Whether a delivery is still of the tenant's present folder. */
  isCurrent({ life }: Delivery<B>): boolean {
    return life === this.#life
  }

  /** Puts down what a delivery came to; `tell` is called when the disk has it, which may be only before the next `take`. */
  async settle(delivery: Delivery<B>, outcome: Outcome, tell: () => void): Promise<void> {
    if (!this.isCurrent(delivery)) return
    this.#owed = { entry: delivery.entry, outcome, tell }
    await this.#serial.run(() => this.#using((ledger) => this.#pay(ledger)))
  }

  /** Has all failed messages wait again, each in its old place; returns how many. */
  retryFailed(): Promise<number> {
    return this.#serial.run(async () => {
      this.#host.assertOpen()
      if (!this.#ledger && (await this.#maildir.count('failed')) === 0) return 0
      return this.#using(async (ledger) => {
        const { failed } = ledger
        for (const entry of failed) ledger.add(await this.#maildir.revive(entry))
        return failed.length
      })
    })
  }

  /** Runs `move`, which takes the tenant's files away, when nobody is in them. */
  discard<T>(move: () => Promise<T>): Promise<T> {
    this.#life++
    return this.#serial.run(async () => {
      try {
        const moved = await move()
        this.#ledger = undefined
        this.#counted = 0
        return moved
      } finally {
        this.#owed = undefined
        this.#unlist()
      }
    })
  }

  /** Stores what was posted; returns the first message of it if that is begun. */
  async #store(first: First): Promise<Letter | undefined> {
    const posts = this.#posts.splice(0, BATCH)
    if (posts.length === 0) return undefined
    if (this.#posts.length > 0) void this.#serial.run(() => this.#store('to wait'))
    try {
      return await this.#using((ledger) => this.#storeAll(ledger, posts, first))
    } catch (cause) {
      for (const post of posts) post.reject(notStored(this.tenant, cause))
      return undefined
    }
  }

  async #storeAll(ledger: Ledger, posts: readonly Post[], first: First): Promise<Letter | undefined> {
    const sorted = sortPosts(posts, ledger, { since: this.#since(), bounds: this.#host, first })
    const { fresh, known, refused } = sorted
    for (const post of known) this.#accept(ledger, post, true)
    for (const { post, reached } of refused) post.reject(mailboxFull(this.tenant, reached))
    if (fresh.length === 0) return undefined
    this.#storing = fresh.length
    this.#report()
    try {
      const failures = await this.#write(fresh.map(({ letter }) => letter))
      for (const { letter, posts } of fresh) {
        if (failures.has(letter))
          for (const post of posts) post.reject(notStored(this.tenant, failures.get(letter)))
        else {
          ledger.add(letter.entry)
          for (const post of posts) this.#accept(ledger, post, post !== posts[0])
        }
      }
      if (failures.size > 0) this.#unlist()
      return fresh.find(({ letter }) => letter.entry.attempts > 0 && !failures.has(letter))?.letter
    } finally {
      this.#storing = 0
    }
  }

  async #write(letters: readonly Letter[]): Promise<ReadonlyMap<Letter, unknown>> {
    const failures = await this.#maildir.store(letters)
    const missing = [...failures.values()].some((cause) => errnoOf(cause) === 'ENOENT')
    if (!missing || failures.size < letters.length) return failures
    await this.#host.ensureFolder(this.tenant)
    await this.#maildir.make()
    return this.#maildir.store(letters)
  }

  #accept(ledger: Ledger, { id, resolve }: Post, duplicate: boolean): void {
    this.#host.posted(this.tenant, { id, duplicate, depth: ledger.depth })
    resolve({ duplicate })
  }

  async #next(ledger: Ledger, life: number): Promise<Delivery<B> | undefined> {
    await this.#pay(ledger)
    for (let entry = ledger.first; entry; entry = ledger.first) {
      const text = await this.#maildir.read(entry, MOST_MESSAGE_BYTES)
      const message = text === undefined ? undefined : parseMessage<B>(text, entry.key)
      if (!message) {
        await this.#setAside({ folder: 'new', name: nameOf(entry) }, 'cannot be read as a message')
        ledger.drop(entry)
      } else if (entry.attempts >= this.#host.maxAttempts) {
        await this.#maildir.fail(entry)
        ledger.fail(entry)
        const cause = new Error('the process ended during the last attempt')
        this.#host.failed(this.tenant, { id: message.id, attempts: entry.attempts, cause })
      } else {
        const counted = await this.#maildir.recount(entry, entry.attempts + 1)
        ledger.replace(counted)
        return { message, entry: counted, life }
      }
    }
    return undefined
  }

  async #pay(ledger: Ledger): Promise<void> {
    if (!this.#owed) return
    const { entry, outcome, tell } = this.#owed
    // Trouble may have come after the move.
    const current = ledger.find(entry)
    if (current) await this.#move(ledger, current, outcome)
    this.#owed = undefined
    tell()
    for (const done of ledger.expire(this.#since()))
      if (!(await this.#maildir.forget(done)))
        await this.#setAside({ folder: 'done', name: doneNameOf(done) }, FOREIGN)
  }

  async #move(ledger: Ledger, entry: Entry, outcome: Outcome): Promise<void> {
    if (outcome === 'done') {
      const done = { sequence: entry.sequence, key: entry.key, at: this.#host.clock.now() }
      await this.#maildir.finish(entry, done)
      ledger.finish(entry, done)
    } else if (outcome === 'failed') {
      await this.#maildir.fail(entry)
      ledger.fail(entry)
    } else if (outcome === 'retry without counting') {
      ledger.replace(await this.#maildir.recount(entry, entry.attempts - 1))
    }
  }

  /** Lists the folder if need be. After trouble nothing is known any more: the next use lists it anew. */
  async #using<T>(work: (ledger: Ledger) => Promise<T>): Promise<T> {
    this.#host.assertOpen()
    try {
      this.#ledger ??= await this.#list()
      return await work(this.#ledger)
    } catch (error) {
      this.#unlist()
      throw error
    } finally {
      this.#report()
    }
  }

  async #list(): Promise<Ledger> {
    const listing = await this.#maildir.list()
    for (const foreign of listing.foreign) await this.#setAside(foreign, FOREIGN)
    return new Ledger(listing, this.#host.clock.now())
  }

  async #setAside(misplaced: Misplaced, why: string): Promise<void> {
    const path = await this.#maildir.setAside(misplaced)
    const what = `${misplaced.folder}/${misplaced.name} in the mailbox of tenant ${JSON.stringify(this.tenant)} ${why}`
    const where = path === undefined ? 'it has gone' : `it was moved to ${path}`
    this.#host.warn('MAILBOX_FOREIGN_FILE', `${what}: ${where}.`, { tenant: this.tenant })
  }

  #unlist(): void {
    this.#counted = this.waiting
    this.#ledger = undefined
    this.#report()
  }

  #report(): void {
    const waiting = this.waiting + this.#storing
    this.#host.waitingChanged(waiting - this.#reported)
    this.#reported = waiting
  }

  #since(): number {
    return this.#host.clock.now() - this.#host.keepDoneMs
  }
}
