import { setImmediate } from 'node:timers/promises'

const SLICE_MS = 10

/** The time that a long piece of work has before others get a turn. */
export class Slice {
  #began = performance.now()

  get isOver(): boolean {
    return performance.now() - this.#began > SLICE_MS
  }

  /** Gives others a turn, and begins anew. */
  async next(): Promise<void> {
    await setImmediate()
    this.#began = performance.now()
  }
}

/** Works through what may be a lot of work, since a tenant has made it so, and gives others a turn every now and then. */
export async function forEachInTurns<T>(items: Iterable<T>, work: (item: T) => void): Promise<void> {
  const slice = new Slice()
  for (const item of items) {
    work(item)
    if (slice.isOver) await slice.next()
  }
}
