import type { Json } from '../agent-events.js'
import type { TenantMailbox } from './tenant-mailbox.js'

/** How much is remembered of mailboxes that have nothing to do, in ids: their next message is then stored without listing. */
const REMEMBERED = 100_000

/** The tenants' mailboxes in memory: those with something to do, and those used last. */
export class Mailboxes<B extends Json> {
  readonly #make: (tenant: string) => TenantMailbox<B>
  readonly #isNeeded: (mailbox: TenantMailbox<B>) => boolean
  readonly #all = new Map<string, TenantMailbox<B>>()
  /** With nothing to do, the longest first; and how much each weighs. */
  readonly #idle = new Map<TenantMailbox<B>, number>()
  #idleWeight = 0

  constructor(make: (tenant: string) => TenantMailbox<B>, isNeeded: (mailbox: TenantMailbox<B>) => boolean) {
    this.#make = make
    this.#isNeeded = isNeeded
  }

  get(tenant: string): TenantMailbox<B> {
    const mailbox = this.#all.get(tenant) ?? this.#make(tenant)
    this.#all.set(tenant, mailbox)
    this.#wake(mailbox)
    return mailbox
  }

  find(tenant: string): TenantMailbox<B> | undefined {
    return this.#all.get(tenant)
  }

  values(): Iterable<TenantMailbox<B>> {
    return this.#all.values()
  }

  /** It may have nothing to do now. */
  settled(mailbox: TenantMailbox<B>): void {
    if (this.#isNeeded(mailbox)) return
    this.#wake(mailbox)
    const weight = 1 + mailbox.weight
    this.#idle.set(mailbox, weight)
    this.#idleWeight += weight
    for (const oldest of this.#idle.keys()) {
      if (this.#idleWeight <= REMEMBERED) return
      this.#wake(oldest)
      if (!this.#isNeeded(oldest)) this.#all.delete(oldest.tenant)
    }
  }

  #wake(mailbox: TenantMailbox<B>): void {
    this.#idleWeight -= this.#idle.get(mailbox) ?? 0
    this.#idle.delete(mailbox)
  }
}
