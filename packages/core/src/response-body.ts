import type { UnderlyingSource } from 'node:stream/web'
import { type Clock, systemClock } from './clock.js'
import { TenantBoxError } from './errors.js'

/**
 * How a body ended: `read`: all of it has come. `cancelled`: its reader did not want the rest. `failed`: it was cut.
 * `unread`: nobody read it.
 */
export type BodyOutcome = 'read' | 'cancelled' | 'failed' | 'unread'

export interface BodyOptions {
  readonly clock?: Clock | undefined
  /** After how many milliseconds a body that lies there untouched is closed. @default 60000 */
  readonly unreadMs?: number | undefined
}

const UNREAD_MS = 60_000
/** Looks per `unreadMs`: the precision of noticing. */
const LOOKS = 4
/** Bytes taken before anybody asks, so that a small body ends even when only its status is of interest. */
const READ_AHEAD = 16 * 1024

/** The same response, telling once when its body has ended; one without a body has ended already. */
export function endWithBody(
  response: Response,
  onEnd: (outcome: BodyOutcome) => void,
  options: BodyOptions = {},
): Response {
  const { body, status, statusText, headers, url } = response
  if (!body || headers.get('content-length') === '0') {
    onEnd('read')
    return response
  }
  const watched = new WatchedBody(body.getReader(), onEnd, options)
  const stream = new ReadableStream(watched, new ByteLengthQueuingStrategy({ highWaterMark: READ_AHEAD }))
  const wrapped = new Response(stream, {
    status,
    headers,
    statusText: isReasonPhrase(statusText) ? statusText : '',
  })
  // A response that was not fetched has none of its own.
  return Object.defineProperty(wrapped, 'url', { value: url })
}

/** Whether `Response` takes it; what an agent sends need not be one. */
function isReasonPhrase(text: string): boolean {
  return /^[\t\x20-\x7e\x80-\xff]*$/.test(text)
}

/** No byte stream: that would take the memory of its chunks away from whoever else still uses it. */
class WatchedBody implements UnderlyingSource<Uint8Array> {
  readonly #source: ReadableStreamDefaultReader<Uint8Array>
  readonly #onEnd: (outcome: BodyOutcome) => void
  readonly #clock: Clock
  readonly #unreadMs: number
  #received = 0
  /** Bytes that the reader had taken at the last look. */
  #taken = 0
  #untouchedMs = 0
  #outcome: BodyOutcome | undefined
  #cancelLook: () => void = () => undefined

  constructor(
    source: ReadableStreamDefaultReader<Uint8Array>,
    onEnd: (outcome: BodyOutcome) => void,
    { clock, unreadMs }: BodyOptions,
  ) {
    this.#source = source
    this.#onEnd = onEnd
    this.#clock = clock ?? systemClock
    this.#unreadMs = unreadMs ?? UNREAD_MS
  }

  start(controller: ReadableStreamDefaultController<Uint8Array>): void {
    this.#lookLater(controller)
  }

  async pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    try {
      const { done, value } = await this.#source.read()
      if (this.#outcome) return
      if (done) {
        this.#end('read')
        controller.close()
      } else {
        this.#received += value.byteLength
        controller.enqueue(value)
      }
    } catch (error) {
      this.#end('failed')
      throw error
    }
  }

  async cancel(reason: unknown): Promise<void> {
    this.#end('cancelled')
    await this.#source.cancel(reason)
  }

  #lookLater(controller: ReadableStreamDefaultController<Uint8Array>): void {
    const ms = this.#unreadMs / LOOKS
    this.#cancelLook = this.#clock.after(ms, () => this.#look(controller, ms), { background: true })
  }

  /** A stream does not say when it is read from; only how much of it is still there. */
  #look(controller: ReadableStreamDefaultController<Uint8Array>, ms: number): void {
    const waiting = READ_AHEAD - (controller.desiredSize ?? READ_AHEAD)
    const taken = this.#received - waiting
    this.#untouchedMs = waiting > 0 && taken === this.#taken ? this.#untouchedMs + ms : 0
    this.#taken = taken
    if (this.#untouchedMs < this.#unreadMs) this.#lookLater(controller)
    else this.#giveUp(controller)
  }

  #giveUp(controller: ReadableStreamDefaultController<Uint8Array>): void {
    this.#end('unread')
    const error = unread(this.#unreadMs)
    controller.error(error)
    // The connection goes with it; that it may have failed meanwhile is nothing new.
    this.#source.cancel(error).catch(() => undefined)
  }

  #end(outcome: BodyOutcome): void {
    if (this.#outcome) return
    this.#outcome = outcome
    this.#cancelLook()
    this.#onEnd(outcome)
  }
}

function unread(afterMs: number): TenantBoxError<'TIMEOUT'> {
  return new TenantBoxError(
    'TIMEOUT',
    `The body of a response was not read for ${afterMs} ms, so its connection was closed. Read it, or cancel it, sooner.`,
    { operation: 'reading the body of a response', afterMs },
    { retryable: false },
  )
}
