import { setImmediate } from 'node:timers/promises'

const SLICE_MS = 10

/** Works through what may be a lot of work, since a tenant has made it so, and gives others a turn every now and then. */
export async function forEachInTurns<T>(items: Iterable<T>, work: (item: T) => void): Promise<void> {
  let began = performance.now()
  for (const item of items) {
    work(item)
    if (performance.now() - began <= SLICE_MS) continue
    await setImmediate()
    began = performance.now()
  }
}
