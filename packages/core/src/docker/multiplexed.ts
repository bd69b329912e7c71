const HEADER = 8
const STDERR = 2

/** A piece of one message. The engine frames each log message, and each write of a process, separately. */
export interface Piece {
  readonly stream: 'stdout' | 'stderr'
  readonly bytes: Buffer
  /** Whether the message ends with this piece. */
  readonly last: boolean
}

/** Takes the engine's stream of framed output apart, piece by piece as it arrives; nothing is held back. */
export async function* pieces(source: AsyncIterable<unknown>): AsyncGenerator<Piece> {
  let header = Buffer.alloc(0)
  let left = 0
  for await (const chunk of source) {
    let bytes = chunk as Buffer
    while (bytes.length > 0) {
      if (left === 0) {
        const missing = HEADER - header.length
        header = Buffer.concat([header, bytes.subarray(0, missing)])
        bytes = bytes.subarray(missing)
        if (header.length < HEADER) break
        left = header.readUInt32BE(4)
      }
      const piece = bytes.subarray(0, left)
      bytes = bytes.subarray(left)
      left -= piece.length
      if (piece.length > 0)
        yield { stream: header[0] === STDERR ? 'stderr' : 'stdout', bytes: piece, last: left === 0 }
      if (left === 0) header = Buffer.alloc(0)
    }
  }
}
