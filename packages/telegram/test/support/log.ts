/** What has happened, and a way to wait for more of it. */
export class Log<T> {
  readonly all: T[] = []
  readonly #waiting = new Set<() => void>()

  add(one: T): void {
    this.all.push(one)
    for (const look of [...this.#waiting]) look()
  }

  /** Resolves with the first one that fits, now or later. */
  first(fits: (one: T) => boolean): Promise<T> {
    return new Promise((resolve) => {
      const look = (): void => {
        const found = this.all.find(fits)
        if (found === undefined) return
        this.#waiting.delete(look)
        resolve(found)
      }
      this.#waiting.add(look)
      look()
    })
  }

  /** Resolves when there are as many. */
  async count(many: number): Promise<void> {
    if (this.all.length < many) await this.first(() => this.all.length >= many)
  }
}
