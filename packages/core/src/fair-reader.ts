import { setImmediate } from 'node:timers/promises'

/** Bytes that are read in one turn of the event loop. */
const TURN = 4 * 1024
/** What a piece costs, however small it is, in bytes. */
const PIECE = 64

/**
 * The bytes of a body, in pieces that leave everybody else their turns: of a line for each byte, or in chunks of one,
 * what was received in one go would keep the event loop for long.
 *
 * @throws what reading the body throws
 */
export async function* readFairly(
  reader: ReadableStreamDefaultReader<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  let taken = 0
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    for (let from = 0; from < value.byteLength; from += TURN) {
      const piece = value.subarray(from, from + TURN)
      yield piece
      taken += piece.byteLength + PIECE
      if (taken < TURN) continue
      taken = 0
      await setImmediate()
    }
  }
}
