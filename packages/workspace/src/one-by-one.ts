/**
 * The items of batches, one by one. Behaves like a generator that yields each of them, and is one where a batch begins;
 * but every `yield` takes three turns of the microtask queue, which together are longer than parsing an entry.
 */
export function oneByOne<T>(batches: AsyncIterable<readonly T[]>): AsyncIterableIterator<T> {
  let batch: readonly T[] = []
  let taken = 0
  async function* each(): AsyncGenerator<T, undefined> {
    for await (batch of batches) {
      taken = 0
      // Who asks while a batch is fetched waits here, so some of its items may go another way than the first.
      while (taken < batch.length) yield batch[taken++] as T
    }
  }
  const items = each()
  return {
    next: () =>
      taken < batch.length ? Promise.resolve({ value: batch[taken++] as T, done: false }) : items.next(),
    return: () => {
      batch = []
      return items.return(undefined)
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}
