import type { CancelTimer, Clock } from '@tenantbox/core'
import { HttpError, InputFile, type Transformer } from 'grammy'
import { orAbort } from '../common/clock.js'
import { grammySignal } from '../common/grammy-signal.js'

/** The longest that Telegram may take for an answer, or for the next piece of an upload. */
const SILENCE_MS = 60_000
/** Beside that it may deal with what was uploaded: a second for each 100 kB. */
const UPLOADED_BYTES_PER_MS = 100

/**
 * Ends calls that Telegram does not answer, as if it could not be reached. The long poll has a deadline of its own.
 * What transformers do that were installed before counts as Telegram's time.
 */
export function callDeadline(clock: Clock): Transformer {
  return async (call, method, payload, signal) => {
    if (method === 'getUpdates') return call(method, payload, signal)
    const late = new AbortController()
    let uploaded = 0
    let stopWaiting: CancelTimer | undefined
    const wait = (): void => {
      stopWaiting?.()
      const ms = SILENCE_MS + uploaded / UPLOADED_BYTES_PER_MS
      stopWaiting = clock.after(ms, () => late.abort(unanswered(method)))
    }
    const onPiece = (bytes: number): void => {
      uploaded += bytes
      // A piece may still be read when the call has ended.
      if (stopWaiting) wait()
    }
    const bounds = [late.signal, ...(signal ? [signal as AbortSignal] : [])]
    wait()
    try {
      const answer = call(method, watched(payload, onPiece), grammySignal(AbortSignal.any(bounds)))
      return await orAbort(answer, late.signal)
    } finally {
      stopWaiting?.()
      stopWaiting = undefined
    }
  }
}

function unanswered(method: string): HttpError {
  return new HttpError(
    `Network request for '${method}' failed!`,
    new Error('Telegram did not answer in time.'),
  )
}

/** The same but for its files, which tell how they are read; what was given may be used for another try. */
function watched<T>(value: T, onPiece: (bytes: number) => void): T
function watched(value: unknown, onPiece: (bytes: number) => void): unknown {
  if (value instanceof InputFile) return new InputFile(() => read(value, onPiece), value.filename)
  if (!hasFile(value)) return value
  if (Array.isArray(value)) return value.map((one) => watched(one, onPiece))
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, watched(one, onPiece)]))
}

function hasFile(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false
  return value instanceof InputFile || Object.values(value).some(hasFile)
}

async function* read(file: InputFile, onPiece: (bytes: number) => void): AsyncGenerator<Uint8Array> {
  const data = await file.toRaw()
  for await (const piece of data instanceof Uint8Array ? [data] : data) {
    onPiece(piece.byteLength)
    yield piece
  }
}
