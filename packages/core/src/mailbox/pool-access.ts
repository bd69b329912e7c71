import type { Clock } from '../clock.js'
import { TenantBoxError } from '../errors.js'
import type { WarningCode } from '../warnings.js'

/** The tenants' folders, as an open pool lets its mailbox see them. */
export interface MailboxFolders {
  /** Every tenant that the pool knows. */
  known(): Iterable<{ readonly id: string }>
  /** Where the tenant's mailbox is, whether it exists or not. @throws TenantBoxError `INVALID_TENANT` */
  mailboxOf(tenant: string): string
  /** Makes the tenant's folder if there is none, in a way that survives a power cut; the pool knows the tenant then. */
  ensureFolder(tenant: string): Promise<void>
}

/** What a mailbox may ask of its pool, beside what everybody may. */
export interface PoolAccess {
  readonly clock: Clock
  readonly seat: MailboxSeat
  /** Opens the pool if need be: from then on, and until the seat is told to close, `dataDir` is this process's own. */
  folders(): Promise<MailboxFolders>
  warn(code: WarningCode, message: string, about: { tenant?: string | undefined; cause?: unknown }): void
}

/** What a pool asks of its mailbox. */
export interface SeatedMailbox {
  /** Runs `move`, which takes the tenant's files away, with nobody in them; what was known of them is forgotten. */
  discard<T>(tenant: string, move: () => Promise<T>): Promise<T>
  /** Must have let go of every file when it resolves. Never rejects. */
  close(drainMs: number): Promise<void>
}

/** Where the one mailbox of a pool sits. */
export class MailboxSeat {
  #mailbox: SeatedMailbox | undefined

  /** @returns what leaves the seat @throws TenantBoxError `INVALID_OPTION` when it is taken */
  take(mailbox: SeatedMailbox): () => void {
    if (this.#mailbox)
      throw new TenantBoxError(
        'INVALID_OPTION',
        'This pool has a mailbox already. Close that one first: two would handle the same messages.',
        { option: 'pool', expected: 'a pool without a mailbox', got: 'one that has a mailbox' },
      )
    this.#mailbox = mailbox
    return () => {
      if (this.#mailbox === mailbox) this.#mailbox = undefined
    }
  }

  discard<T>(tenant: string, move: () => Promise<T>): Promise<T> {
    return this.#mailbox ? this.#mailbox.discard(tenant, move) : move()
  }

  async close(drainMs: number): Promise<void> {
    await this.#mailbox?.close(drainMs)
  }
}
