const MINUTE = 60_000

export interface BudgetLimits {
  /** @default 2 */
  readonly atOnce?: number | undefined
  /** @default 30 */
  readonly perMinute?: number | undefined
}

/** How much of the model one tenant may have: an agent gone wild spends little, and takes nothing from the others. */
export class Budget {
  readonly #atOnce: number
  readonly #perMinute: number
  readonly #now: () => number
  /** When each tenant's requests of the last minute began; those under way are `running`. */
  readonly #spent = new Map<string, { running: number; starts: number[] }>()

  constructor(now: () => number, limits: BudgetLimits = {}) {
    this.#now = now
    this.#atOnce = limits.atOnce ?? 2
    this.#perMinute = limits.perMinute ?? 30
  }

  /** Returns what gives it back (idempotent), or in how many milliseconds to ask again. */
  take(tenant: string): (() => void) | number {
    this.#forgetOld()
    const spent = this.#spent.get(tenant) ?? { running: 0, starts: [] }
    const [oldest = 0] = spent.starts
    if (spent.starts.length >= this.#perMinute) return oldest + MINUTE - this.#now()
    if (spent.running >= this.#atOnce) return 1_000
    this.#spent.set(tenant, spent)
    spent.running++
    spent.starts.push(this.#now())
    let given = false
    return () => {
      if (!given) spent.running--
      given = true
    }
  }

  #forgetOld(): void {
    const since = this.#now() - MINUTE
    for (const [tenant, spent] of this.#spent) {
      spent.starts = spent.starts.filter((start) => start > since)
      if (spent.running === 0 && spent.starts.length === 0) this.#spent.delete(tenant)
    }
  }
}
