/** When each tenant's box was used, in monotonic milliseconds, as those who used it see it. */
export class Uses {
  readonly #uses = new Map<string, Use[]>()

  /** @returns who began with this, and ends it */
  begin(tenant: string, now: number): Use {
    const use = { from: now, to: Number.POSITIVE_INFINITY }
    const uses = this.#uses.get(tenant) ?? []
    this.#uses.set(tenant, uses)
    uses.push(use)
    return use
  }

  /** A use that was over at once. */
  note(tenant: string, now: number): void {
    this.begin(tenant, now).to = now
  }

  /** The last moment up to `at` at which the box was in use. */
  lastUntil(tenant: string, at: number): number | undefined {
    const moments = (this.#uses.get(tenant) ?? [])
      .filter(({ from }) => from <= at)
      .map(({ to }) => Math.min(to, at))
    return moments.length === 0 ? undefined : Math.max(...moments)
  }

  /** The process in which all this happened has crashed: it had until `at` to write down what it saw. */
  crashed(at: number): void {
    for (const [tenant, uses] of this.#uses)
      this.#uses.set(
        tenant,
        uses.flatMap(({ from, to }) => (from <= at ? { from, to: Math.min(to, at) } : [])),
      )
  }

  /** Whose files are gone is nobody that was ever seen. */
  forget(tenant: string): void {
    this.#uses.delete(tenant)
  }
}

interface Use {
  readonly from: number
  to: number
}
