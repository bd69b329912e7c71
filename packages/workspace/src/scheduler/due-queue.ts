interface Slot<T> {
  readonly item: T
  at: number
  index: number
}

/** Items by the time they are due, soonest first: a binary heap in which an item can be found and moved. */
export class DueQueue<T> {
  readonly #heap: Slot<T>[] = []
  readonly #slots = new Map<T, Slot<T>>()

  get size(): number {
    return this.#heap.length
  }

  /** Puts an item in, or moves it. */
  set(item: T, at: number): void {
    const slot = this.#slots.get(item)
    if (slot) {
      slot.at = at
      this.#settle(slot)
    } else {
      const added = { item, at, index: this.#heap.length }
      this.#heap.push(added)
      this.#slots.set(item, added)
      this.#settle(added)
    }
  }

  delete(item: T): void {
    const slot = this.#slots.get(item)
    if (!slot) return
    this.#slots.delete(item)
    const last = this.#heap.pop()
    if (!last || last === slot) return
    this.#place(last, slot.index)
    this.#settle(last)
  }

  /** When the first is due. */
  nextAt(): number | undefined {
    return this.#heap[0]?.at
  }

  /** Takes out the first, if it is due by `now`. */
  take(now: number): T | undefined {
    const first = this.#heap[0]
    if (!first || first.at > now) return undefined
    this.delete(first.item)
    return first.item
  }

  #settle(slot: Slot<T>): void {
    for (let above = this.#at((slot.index - 1) >> 1); slot.index > 0 && above && above.at > slot.at; ) {
      const index = above.index
      this.#place(above, slot.index)
      this.#place(slot, index)
      above = this.#at((index - 1) >> 1)
    }
    for (
      let below = this.#sooner(slot.index);
      below && below.at < slot.at;
      below = this.#sooner(slot.index)
    ) {
      const index = below.index
      this.#place(below, slot.index)
      this.#place(slot, index)
    }
  }

  #sooner(index: number): Slot<T> | undefined {
    const left = this.#at(2 * index + 1)
    const right = this.#at(2 * index + 2)
    return left && right && right.at < left.at ? right : left
  }

  #at(index: number): Slot<T> | undefined {
    return this.#heap[index]
  }

  #place(slot: Slot<T>, index: number): void {
    slot.index = index
    this.#heap[index] = slot
  }
}
