import { setMaxListeners } from 'node:events'
import { type Dispatcher, errors } from 'undici'
import { agentFailed, agentLate, agentTooLarge, agentUnreachable } from './agent-errors.js'
import type { CancelTimer, Clock } from './clock.js'
import { errnoOf } from './errno.js'
import { isTenantBoxError, type TenantBoxError } from './errors.js'
import { toMessage } from './text.js'

/** What one request and its answer are held to. Times in milliseconds, false for none. */
export interface ExchangeBounds {
  readonly tenant: string
  readonly clock: Clock
  readonly method: string
  /** Whether a redirect is handed to the caller instead of being an error. It is never followed. */
  readonly showRedirects: boolean
  readonly total: number | false
  readonly firstByte: number | false
  readonly silence: number | false
  readonly headerBytes: number
  readonly bodyBytes: number
}

/**
 * `queued`: no byte of the request can have left. `sent`: some may have. `answering`: the head of the answer is here.
 * `over`: ended, well or not.
 */
type Phase = 'queued' | 'sent' | 'answering' | 'over'

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])
/** `fetch` would not hand these over: it fails (407), repeats the request (421) or knows no such status. */
const isNoAnswer = (status: number): boolean => status === 407 || status === 421 || status > 599
const MOST_INTERIM_ANSWERS = 16
const ANSWER = 'an answer'

/** Errors of undici that say: the request itself was wrong. */
const CALLERS_FAULTS: ReadonlySet<unknown> = new Set([
  'UND_ERR_INVALID_ARG',
  'UND_ERR_NOT_SUPPORTED',
  'UND_ERR_REQ_CONTENT_LENGTH_MISMATCH',
])

/**
 * One request and its answer, between `fetch` and undici's connections: the dispatcher that `fetch` is given, which
 * passes on what it hears, held to the bounds. Whatever fails becomes the reason of `signal`, so that `fetch`, and the
 * body after it, reject with exactly that error.
 *
 * It is a handler of undici 7's shape between a `fetch` and an undici of different versions, as each Node brings its own.
 */
export class Exchange implements Dispatcher.DispatchHandler {
  readonly #bounds: ExchangeBounds
  readonly #dispatcher: Dispatcher
  readonly #callers: AbortSignal | undefined
  readonly #abort = new AbortController()
  readonly #onAbort = (): void => this.fail(this.#callers?.reason)
  #inner: Dispatcher.DispatchHandler = {}
  #phase: Phase = 'queued'
  #status: number | undefined
  #interim = 0
  #bytes = 0
  #heardAt = 0
  #cancelTotal: CancelTimer | undefined
  #cancelDeadline: CancelTimer | undefined

  constructor(dispatcher: Dispatcher, bounds: ExchangeBounds, signal: AbortSignal | undefined) {
    this.#dispatcher = dispatcher
    this.#bounds = bounds
    this.#callers = signal
    if (signal) {
      // As `fetch` does itself: many requests may share one signal.
      setMaxListeners(0, signal)
      signal.addEventListener('abort', this.#onAbort, { once: true })
    }
    const { total } = bounds
    if (total !== false)
      this.#cancelTotal = bounds.clock.after(total, () =>
        this.fail(agentLate(bounds.tenant, 'finish its answer', total)),
      )
  }

  /** Aborted with the error when the exchange fails. */
  get signal(): AbortSignal {
    return this.#abort.signal
  }

  /** Ends the exchange with an error, unless it has ended already. */
  fail(error: unknown): void {
    if (this.#phase === 'over') return
    this.#end()
    this.#abort.abort(error)
  }

  /** What `fetch` rejected with, in our words, where it was not told them. */
  explain(error: unknown): unknown {
    if (this.signal.aborted) return this.signal.reason
    const failure = this.#phase === 'queued' ? error : this.#failure(error)
    this.fail(failure)
    return failure
  }

  dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    this.#inner = modern(handler)
    // `fetch` cannot be aborted yet while it still makes its own call, and what is refused at once would do that.
    queueMicrotask(() => this.#dispatcher.dispatch(options, this))
    return true
  }

  /** Called right before the first byte is written. */
  onRequestStart(controller: Dispatcher.DispatchController, context: unknown): void {
    if (this.#phase === 'queued') {
      this.#phase = 'sent'
      const { tenant, clock, firstByte } = this.#bounds
      if (firstByte !== false)
        this.#cancelDeadline = clock.after(firstByte, () =>
          this.fail(agentLate(tenant, 'begin its answer', firstByte)),
        )
    }
    this.#inner.onRequestStart?.(controller, context)
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: HeaderFields,
    statusMessage?: string,
  ): void {
    const refusal = status < 200 ? this.#tooManyInterim() : this.#refusal(status, headers)
    if (refusal) this.fail(refusal)
    if (refusal || status < 200) return
    this.#phase = 'answering'
    this.#heardAt = this.#bounds.clock.monotonic()
    this.#cancelDeadline?.()
    if (this.#bounds.silence !== false) this.#watch(controller, this.#bounds.silence, this.#bounds.silence)
    this.#inner.onResponseStart?.(controller, status, headers, statusMessage)
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#bytes += chunk.length
    const { tenant, clock, bodyBytes } = this.#bounds
    this.#heardAt = clock.monotonic()
    if (this.#bytes > bodyBytes) this.fail(agentTooLarge(tenant, ANSWER, this.#bytes, bodyBytes))
    else this.#inner.onResponseData?.(controller, chunk)
  }

  onResponseEnd(controller: Dispatcher.DispatchController, trailers: HeaderFields): void {
    this.#end()
    this.#inner.onResponseEnd?.(controller, trailers)
  }

  onResponseError(controller: Dispatcher.DispatchController | undefined, error: Error): void {
    // `fetch` itself gave up: the caller's request body failed, or the caller cancelled the answer's.
    this.fail(controller?.aborted ? controller.reason : this.#failure(error))
    // undici has no controller yet where no connection could be made.
    this.#inner.onResponseError?.(controller as Dispatcher.DispatchController, error)
  }

  #end(): void {
    this.#phase = 'over'
    this.#cancelTotal?.()
    this.#cancelDeadline?.()
    this.#callers?.removeEventListener('abort', this.#onAbort)
  }

  /**
   * Fails the exchange once nothing was heard for `silence`. Looks only when that may be so instead of being set anew
   * with every chunk. A reader that takes its time is not the agent's silence.
   */
  #watch(controller: Dispatcher.DispatchController, silence: number, wait: number): void {
    const { tenant, clock } = this.#bounds
    this.#cancelDeadline = clock.after(wait, () => {
      const left = this.#heardAt + silence - clock.monotonic()
      if (left <= 0 && !controller.paused) this.fail(agentLate(tenant, 'go on with its answer', silence))
      else this.#watch(controller, silence, left > 0 ? left : silence)
    })
  }

  #tooManyInterim(): TenantBoxError | undefined {
    this.#interim++
    return this.#interim > MOST_INTERIM_ANSWERS
      ? this.#failed('sends interim answers without end')
      : undefined
  }

  /** Why an answer with this head is not taken. */
  #refusal(status: number, headers: HeaderFields): TenantBoxError | undefined {
    const { tenant, method, showRedirects, bodyBytes } = this.#bounds
    this.#status = status
    if (isNoAnswer(status)) return this.#failed(`answered with status ${status}, which has no meaning here`)
    if (REDIRECTS.has(status) && !showRedirects)
      return this.#failed(`answered with a redirect (status ${status}), which is never followed`)
    const encoding = headers['content-encoding'] ?? 'identity'
    if (encoding !== '' && String(encoding).toLowerCase() !== 'identity')
      return this.#failed('sent an encoded body in spite of "accept-encoding: identity"')
    const announced = Number(headers['content-length'] ?? 0)
    if (announced > bodyBytes && method !== 'HEAD') return agentTooLarge(tenant, ANSWER, announced, bodyBytes)
    return undefined
  }

  /** An error of undici or the system, in our words. */
  #failure(error: unknown): unknown {
    if (isTenantBoxError(error)) return error
    const { tenant, headerBytes } = this.#bounds
    const code = errnoOf(error)
    if (CALLERS_FAULTS.has(code))
      return new TypeError(`The request to the agent is not valid: ${toMessage(error)}`, { cause: error })
    if (code === 'UND_ERR_HEADERS_OVERFLOW') return agentTooLarge(tenant, 'headers', headerBytes, headerBytes)
    if (this.#phase === 'queued') return agentUnreachable(tenant, error)
    // undici's own error holds what was received, which is the tenant's.
    if (error instanceof errors.HTTPParserError)
      return this.#failed('did not answer in valid HTTP/1.1', new Error(toMessage(error)))
    if (this.#phase === 'sent') return this.#failed('closed the connection without an answer', error)
    return this.#failed('cut its answer short', error)
  }

  #failed(what: string, cause?: unknown): TenantBoxError<'AGENT_FAILED'> {
    const details = { sent: this.#phase !== 'queued', partial: this.#phase === 'answering' }
    const status = this.#status
    return agentFailed(this.#bounds.tenant, what, status === undefined ? details : { ...details, status }, {
      cause,
    })
  }
}

type HeaderFields = Record<string, string | string[] | undefined>

/**
 * Up to Node 25 `fetch` brings a handler of the older shape. Its headers are passed on as they came: undici's own
 * adapter joins repeated ones, which breaks `set-cookie`.
 */
function modern(handler: Dispatcher.DispatchHandler): Dispatcher.DispatchHandler {
  if (handler.onRequestStart) return handler
  return {
    onRequestStart: (controller) =>
      handler.onConnect?.((reason) => controller.abort(reason ?? new DOMException('Aborted', 'AbortError'))),
    onResponseStart: (controller, status, _headers, statusMessage) => {
      const headers = controller.rawHeaders as Buffer[]
      if (handler.onHeaders?.(status, headers, () => controller.resume(), statusMessage ?? '') === false)
        controller.pause()
    },
    onResponseData: (controller, chunk) => {
      if (handler.onData?.(chunk) === false) controller.pause()
    },
    onResponseEnd: (controller) => handler.onComplete?.(controller.rawTrailers as string[]),
    onResponseError: (_controller, error) => handler.onError?.(error),
  }
}
