import { randomUUID } from 'node:crypto'
import { agentFailed, agentTooLarge } from './agent-errors.js'
import {
  type AgentEvent,
  type AgentFile,
  type EventDecoder,
  isLast,
  type Json,
  LineTooLong,
  MalformedAnswer,
  ndjsonDecoder,
  textDecoder,
} from './agent-events.js'
import { type Clock, systemClock } from './clock.js'
import { isTenantBoxError } from './errors.js'
import { readFairly } from './fair-reader.js'
import { printable } from './text.js'
import type { Transport } from './transport.js'
import { invalidOption } from './units.js'

export type { AgentEvent, AgentFile, Json }

/** What an agent receives. */
export interface AgentMessage {
  /** Unique per message; the same again is a redelivery of the same message. */
  id: string
  text: string
  cause: 'user' | 'schedule' | 'app'
  /** Counts from 1. */
  attempt: number
  /** Which conversation it belongs to, where the app has several. */
  thread?: string
  from?: { id: string; name?: string }
  files?: readonly AgentFile[]
  data?: Json
}

/** A message to be sent: its text, or the message. `id` is made up, `cause` is `'app'` and `attempt` 1 where left out. */
export type MessageInput =
  | string
  | (Omit<AgentMessage, 'id' | 'cause' | 'attempt'> & Partial<Pick<AgentMessage, 'id' | 'cause' | 'attempt'>>)

/** Lazy and single-consumer: nothing is woken or leased until it is read; `break` cancels. */
export interface Answer extends AsyncIterable<AgentEvent> {
  /**
   * All of its text.
   *
   * @throws TenantBoxError `AGENT_FAILED` when the agent reports an error: `cause` has its message
   */
  text(): Promise<string>
}

/** A way to the agent: of a transport, or of a box. */
export type AgentFetch = Transport['fetch']

const NDJSON = 'application/x-ndjson'
const MAX_LINE_BYTES = 1024 * 1024
/** For how long an agent may take to close its answer after the last event. */
const LINGER_MS = 1_000
const CANCEL_MS = 2_000

/** The message with everything filled in. @throws TenantBoxError `INVALID_OPTION` for what is no message */
export function toAgentMessage(input: MessageInput): AgentMessage {
  const message = typeof input === 'string' ? { text: input } : input
  if (typeof message?.text !== 'string')
    throw invalidOption('message', 'its text, or an object with the text as "text"', input)
  return {
    ...message,
    id: message.id ?? randomUUID(),
    cause: message.cause ?? 'app',
    attempt: message.attempt ?? 1,
  }
}

/**
 * `asking`: the agent may be at work on the message. `ended`: it said `done` or `error`. `failed`: it refused the
 * message, or broke the contract or the connection.
 */
type Turn = 'asking' | 'ended' | 'failed'

/**
 * Sends one message and yields what the agent answers, up to its `done` or `error`. Aborting the signal, or leaving the
 * iteration, closes the connection and tells the agent with `POST /cancel`.
 *
 * @throws TenantBoxError `AGENT_FAILED`, and what `fetch` throws
 */
export async function* askAgent(
  fetch: AgentFetch,
  input: MessageInput,
  signal: AbortSignal,
  { tenant, clock = systemClock }: { tenant?: string | undefined; clock?: Clock | undefined } = {},
): AsyncGenerator<AgentEvent, void, undefined> {
  const message = toAgentMessage(input)
  const body = JSON.stringify(message)
  signal.throwIfAborted()
  let turn: Turn = 'asking'
  let partial = false
  let reader: ReadableStreamDefaultReader<Uint8Array> | undefined
  try {
    const response = await fetch('/message', { method: 'POST', headers: HEADERS, body, signal })
    reader = (response.body ?? new Blob([]).stream()).getReader()
    const decoder = decoderOf(tenant, response)
    for await (const event of eventsOf(reader, decoder)) {
      partial = true
      if (isLast(event)) turn = 'ended'
      yield event
      if (isLast(event)) return
    }
    throw new MalformedAnswer('no "done" or "error" at its end')
  } catch (error) {
    const failure = explain(tenant, error, partial)
    // Where the engine was away nothing was sent, and a late cancel would hit the message when it is sent again.
    if (isTenantBoxError(failure, 'AGENT_FAILED') || isTenantBoxError(failure, 'ENGINE_UNAVAILABLE'))
      turn = 'failed'
    throw failure
  } finally {
    if (turn === 'ended' && reader) await linger(reader, clock)
    else reader?.cancel().catch(() => undefined) // It has failed already: there is nothing left to close.
    if (turn === 'asking') tellCancelled(fetch, message.id)
  }
}

const HEADERS = { 'content-type': 'application/json', accept: `${NDJSON}, text/*` }

function decoderOf(tenant: string | undefined, { status, headers }: Response): EventDecoder {
  const type = (headers.get('content-type') ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? ''
  const details = { status, sent: true, partial: false }
  if (status !== 200) throw agentFailed(tenant, `answered a message with status ${status}`, details)
  if (type === NDJSON) return ndjsonDecoder(MAX_LINE_BYTES)
  if (type.startsWith('text/')) return textDecoder()
  throw agentFailed(tenant, `answered a message with neither text nor ${NDJSON}`, details)
}

async function* eventsOf(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  decoder: EventDecoder,
): AsyncGenerator<AgentEvent, void, undefined> {
  for await (const piece of readFairly(reader)) yield* decoder.push(piece)
  yield* decoder.end()
}

function explain(tenant: string | undefined, error: unknown, partial: boolean): unknown {
  if (error instanceof LineTooLong)
    return agentTooLarge(tenant, 'a line of its answer', error.bytes, MAX_LINE_BYTES)
  if (!(error instanceof MalformedAnswer)) return error
  return agentFailed(tenant, `sent an answer with ${error.message}`, { status: 200, sent: true, partial })
}

/** Lets the agent close its answer by itself, so that it is not taken for cancelled and the connection is kept. */
async function linger(reader: ReadableStreamDefaultReader<Uint8Array>, clock: Clock): Promise<void> {
  const cancel = clock.after(LINGER_MS, () => void reader.cancel().catch(() => undefined))
  try {
    while (!(await reader.read()).done);
  } catch {
    // What happens to the connection after the last event changes nothing.
  } finally {
    cancel()
  }
}

/** Best effort, and nobody waits: an agent that does not know it, or is gone, has nothing to cancel. */
function tellCancelled(fetch: AgentFetch, id: string): void {
  fetch('/cancel', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ id }),
    timeout: CANCEL_MS,
  })
    .then((response) => response.body?.cancel())
    .catch(() => undefined)
}

/**
 * An answer over whatever `run` yields. `run` is called when the answer is first read; its signal aborts when the reader
 * leaves while an event is awaited.
 */
export function createAnswer(
  run: (signal: AbortSignal) => AsyncIterable<AgentEvent>,
  { tenant }: { tenant?: string | undefined } = {},
): Answer {
  let taken = false
  const answer: Answer = {
    [Symbol.asyncIterator]() {
      if (taken)
        throw new TypeError('An answer can be read only once. Send the message again for another one.')
      taken = true
      return cancellable(run)
    },
    async text() {
      let text = ''
      for await (const event of answer) {
        if (event.type === 'text') text += event.text
        if (event.type === 'error') throw reported(tenant, event, text !== '')
      }
      return text
    },
  }
  return answer
}

/** An iterator that can be left while its next event is awaited: a generator alone would first wait for that. */
function cancellable(run: (signal: AbortSignal) => AsyncIterable<AgentEvent>): AsyncIterator<AgentEvent> {
  const left = new AbortController()
  let events: AsyncIterator<AgentEvent> | undefined
  let awaited = 0
  const over = { done: true, value: undefined } as const
  return {
    async next() {
      if (left.signal.aborted) return over
      events ??= run(left.signal)[Symbol.asyncIterator]()
      awaited++
      try {
        return await events.next()
      } catch (error) {
        // Its reader has left: it need not hear that this has ended what it waited for.
        if (left.signal.aborted) return over
        throw error
      } finally {
        awaited--
      }
    },
    async return() {
      if (awaited > 0 || !events)
        left.abort(new DOMException('The answer was left by its reader.', 'AbortError'))
      await events?.return?.()
      return over
    },
  }
}

const MAX_REPORT_CHARACTERS = 1_024

/** What the agent says about it is the tenant's own text: there as the cause, not part of the message. */
function reported(
  tenant: string | undefined,
  event: AgentEvent & { type: 'error' },
  partial: boolean,
): Error {
  const report = printable(event.message.slice(0, MAX_REPORT_CHARACTERS))
  const context = { cause: new Error(report), retryable: event.retryable }
  return agentFailed(tenant, 'reported an error', { sent: true, partial }, context)
}
