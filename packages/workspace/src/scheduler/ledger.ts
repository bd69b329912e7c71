import type { Due } from '../schedule.js'

/** What is known of one tenant beyond its file. */
export interface Account {
  /** Per schedule, the last due that was claimed or passed over, in milliseconds since the epoch. */
  readonly marks: Map<string, number>
  /** Claimed, and not known to have been handed over; in the order of the claims. */
  readonly pending: Map<string, Due>
}

export type Entry =
  | { readonly type: 'claim'; readonly tenant: string; readonly due: Due }
  | { readonly type: 'done'; readonly tenant: string; readonly id: string }
  | { readonly type: 'mark'; readonly tenant: string; readonly schedule: string; readonly at: number }

/** Whether a mark, and when it was set, is needed no more. */
export type IsObsolete = (tenant: string, schedule: string, at: number) => boolean

/** Which dues were claimed and which were handed over, in memory. */
export class Ledger {
  readonly #accounts = new Map<string, Account>()

  of(tenant: string): Account {
    let account = this.#accounts.get(tenant)
    if (!account) {
      account = { marks: new Map(), pending: new Map() }
      this.#accounts.set(tenant, account)
    }
    return account
  }

  apply(entry: Entry): void {
    const { marks, pending } = this.of(entry.tenant)
    switch (entry.type) {
      case 'claim':
        pending.set(entry.due.id, entry.due)
        raise(marks, entry.due.schedule.id, Date.parse(entry.due.dueAt))
        break
      case 'done':
        pending.delete(entry.id)
        break
      case 'mark':
        raise(marks, entry.schedule, entry.at)
        break
    }
  }

  /** Forgets marks that nobody needs any more. */
  forget(isObsolete: IsObsolete): void {
    for (const [tenant, { marks, pending }] of this.#accounts) {
      for (const [schedule, at] of marks) if (isObsolete(tenant, schedule, at)) marks.delete(schedule)
      if (marks.size === 0 && pending.size === 0) this.#accounts.delete(tenant)
    }
  }

  /** The fewest entries that lead to the same state. */
  *entries(): Generator<Entry> {
    for (const [tenant, { marks, pending }] of this.#accounts) {
      for (const [schedule, at] of marks) yield { type: 'mark', tenant, schedule, at }
      for (const due of pending.values()) yield { type: 'claim', tenant, due }
    }
  }
}

function raise(marks: Map<string, number>, schedule: string, at: number): void {
  marks.set(schedule, Math.max(at, marks.get(schedule) ?? at))
}
