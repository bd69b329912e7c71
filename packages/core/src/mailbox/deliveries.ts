import { orAbort } from '../abort.js'
import type { Json } from '../agent-events.js'
import type { CancelTimer, Clock } from '../clock.js'
import type { TenantPool } from '../pool.js'
import { toMessage } from '../text.js'
import { deadline } from '../wait.js'
import type { WarningCode } from '../warnings.js'
import type { MailboxEvents } from './mailbox-events.js'
import type { Delivery, TenantMailbox } from './tenant-mailbox.js'
import { OpenTurn, type Turn } from './turn.js'
import { TurnOrder } from './turn-order.js'
import { backoff, judge } from './verdict.js'

/** How long handlers have to settle once their signals have aborted. */
const SETTLE_MS = 2_000

/** What handling messages needs of the mailbox. */
export interface DeliveriesHost<B extends Json> {
  readonly clock: Clock
  readonly pool: Pick<TenantPool, 'lease'>
  readonly concurrency: number
  readonly maxAttempts: number
  handle(turn: Turn<B>): Promise<void>
  emit<K extends keyof MailboxEvents>(event: K, payload: MailboxEvents[K]): void
  warn(code: WarningCode, message: string, about: { tenant: string; cause: unknown }): void
  /** A mailbox has nothing to do at the moment. */
  settled(mailbox: TenantMailbox<B>): void
}

/** Hands messages to the handler: one of each tenant at a time, so many at once, tenants in turn. */
export class Deliveries<B extends Json> {
  readonly #host: DeliveriesHost<B>
  readonly #order: TurnOrder<TenantMailbox<B>>
  /** Those whose next turn is not now: what ends their rest. */
  readonly #resting = new Map<TenantMailbox<B>, CancelTimer>()
  readonly #turns = new Map<TenantMailbox<B>, OpenTurn<B>>()
  readonly #running = new Set<Promise<void>>()
  /** Failures in a row that are not the message's: no box, no service, or trouble with the disk. */
  readonly #setbacks = new Map<TenantMailbox<B>, number>()
  readonly #stopping = new AbortController()
  #begun = false

  constructor(host: DeliveriesHost<B>) {
    this.#host = host
    this.#order = new TurnOrder(host.concurrency)
  }

  /** From now on messages are handled. */
  begin(): void {
    this.#begun = true
    this.#fill()
  }

  /** A mailbox may have something waiting. */
  arrived(mailbox: TenantMailbox<B>): void {
    if (mailbox.waiting > 0) this.arriving(mailbox)
  }

  /** A mailbox has something waiting, or is about to. */
  arriving(mailbox: TenantMailbox<B>): void {
    if (this.#resting.has(mailbox)) return
    this.#order.enter(mailbox)
    this.#fill()
  }

  /** A mailbox could not be looked into. */
  troubled(mailbox: TenantMailbox<B>, cause: unknown): void {
    const restMs = this.#setBackBy(mailbox, cause)
    if (!this.has(mailbox)) this.#rest(mailbox, restMs)
  }

  /** Whether a mailbox has its turn, waits for it, or rests before it. */
  has(mailbox: TenantMailbox<B>): boolean {
    return this.#resting.has(mailbox) || this.#order.has(mailbox)
  }

  /** The tenant's files go away: whoever handles its message should end. */
  discarded(mailbox: TenantMailbox<B>, reason: unknown): void {
    this.#turns.get(mailbox)?.abort(reason)
  }

  /** Begins no more turns, and wakes nobody; handlers have `drainMs` to settle by themselves, then their signals abort. */
  async close(reason: Error, drainMs: number): Promise<void> {
    this.#stopping.abort(reason)
    for (const cancel of this.#resting.values()) cancel()
    this.#resting.clear()
    await this.#settled(drainMs)
    for (const turn of this.#turns.values()) turn.abort(reason)
    await this.#settled(SETTLE_MS)
  }

  async #settled(withinMs: number): Promise<void> {
    if (this.#running.size === 0 || withinMs === 0) return
    const bound = deadline(this.#host.clock, 'close', { timeout: withinMs })
    // Whoever is not done in time is given up.
    await orAbort(Promise.all(this.#running), bound.signal).catch(() => undefined)
    bound.done()
  }

  #fill(): void {
    if (!this.#begun || this.#stopping.signal.aborted) return
    for (let next = this.#order.begin(); next; next = this.#order.begin()) {
      const running = this.#run(next)
      this.#running.add(running)
      void running.finally(() => this.#running.delete(running))
    }
  }

  /** Never rejects. */
  async #run(mailbox: TenantMailbox<B>): Promise<void> {
    let restMs = 0
    try {
      restMs = await this.#deliver(mailbox)
      if (restMs === 0) this.#setbacks.delete(mailbox)
    } catch (cause) {
      restMs = this.#setBackBy(mailbox, cause)
    }
    this.#order.end(mailbox)
    if (this.#stopping.signal.aborted) return
    if (restMs > 0) this.#rest(mailbox, restMs)
    else if (mailbox.waiting > 0) this.#order.enter(mailbox)
    else this.#host.settled(mailbox)
    this.#fill()
  }

  #rest(mailbox: TenantMailbox<B>, ms: number): void {
    const cancel = this.#host.clock.after(ms, () => {
      this.#resting.delete(mailbox)
      // Whatever is known of it: after trouble with the disk that may be wrong.
      this.#order.enter(mailbox)
      this.#fill()
    })
    this.#resting.set(mailbox, cancel)
  }

  /** Trouble with the disk is nobody's fault, and loses nothing: it is tried again until it works. */
  #setBackBy(mailbox: TenantMailbox<B>, cause: unknown): number {
    if (this.#stopping.signal.aborted) return 0
    const { tenant } = mailbox
    const restMs = backoff(this.#setBack(mailbox), Math.random())
    this.#host.warn(
      'MAILBOX_DISK',
      `The mailbox of tenant ${JSON.stringify(tenant)} cannot go on, and tries again in ${restMs} ms: ${toMessage(cause)}`,
      { tenant, cause },
    )
    return restMs
  }

  #setBack(mailbox: TenantMailbox<B>): number {
    const setbacks = (this.#setbacks.get(mailbox) ?? 0) + 1
    this.#setbacks.set(mailbox, setbacks)
    return setbacks
  }

  /** One turn; resolves with how long the mailbox must rest after it. */
  async #deliver(mailbox: TenantMailbox<B>): Promise<number> {
    const delivery = await mailbox.take()
    if (!delivery || !mailbox.isCurrent(delivery)) return 0
    const { clock } = this.#host
    const { tenant } = mailbox
    const { message, entry } = delivery
    const { id, body, postedAt } = message
    const attempt = entry.attempts
    const turn = new OpenTurn({ tenant, id, body, attempt }, this.#host.pool, this.#stopping.signal)
    const queuedMs = Math.max(0, clock.now() - postedAt)
    const began = clock.monotonic()
    this.#turns.set(mailbox, turn)
    let failure: { readonly error: unknown } | undefined
    try {
      // Stopped while its attempt was written down.
      this.#stopping.signal.throwIfAborted()
      await this.#host.handle(turn)
    } catch (error) {
      failure = { error }
    } finally {
      turn.end()
      this.#turns.delete(mailbox)
    }
    const about = (): { tenant: string; id: string; at: number } => ({ tenant, id, at: clock.now() })
    if (!failure) {
      const handledMs = clock.monotonic() - began
      await mailbox.settle(delivery, 'done', () =>
        this.#host.emit('done', { ...about(), attempt, queuedMs, handledMs }),
      )
      return 0
    }
    return this.#failed(mailbox, delivery, turn, failure.error)
  }

  async #failed(
    mailbox: TenantMailbox<B>,
    delivery: Delivery<B>,
    { tenant, id, attempt, hadBox }: OpenTurn<B>,
    cause: unknown,
  ): Promise<number> {
    // An attempt that was cut short says nothing of the message.
    if (this.#stopping.signal.aborted) {
      await mailbox.settle(delivery, 'retry without counting', () => undefined)
      return 0
    }
    const { maxAttempts, clock } = this.#host
    const refusals = this.#setbacks.get(mailbox) ?? 0
    const verdict = judge({ error: cause, attempt, maxAttempts, hadBox, refusals }, Math.random())
    const about = (): { tenant: string; id: string; at: number } => ({ tenant, id, at: clock.now() })
    if (verdict.kind === 'fail') {
      await mailbox.settle(delivery, 'failed', () =>
        this.#host.emit('failed', { ...about(), attempts: attempt, cause }),
      )
      return 0
    }
    const { retryIn, counts } = verdict
    if (counts) this.#setbacks.delete(mailbox)
    else this.#setBack(mailbox)
    await mailbox.settle(delivery, counts ? 'retry' : 'retry without counting', () =>
      this.#host.emit('retry', { ...about(), attempt, retryIn, cause }),
    )
    return retryIn
  }
}
