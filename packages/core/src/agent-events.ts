import { TextDecoder } from 'node:util'

/** What JSON can hold. A key whose value is undefined is left out, so that types with optional keys are JSON too. */
export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [key: string]: Json | undefined }

/** A file in the tenant's workspace that a message or an answer brings along. Is `Json`, as an interface would not be. */
export type AgentFile = {
  /** Relative to the workspace. */
  path: string
  name?: string
  mediaType?: string
  bytes?: number
  caption?: string
}

/** What an agent answers with, one JSON object per line. `done` and `error` end the answer. */
export type AgentEvent =
  | { type: 'text' | 'status'; text: string }
  | {
      type: 'tool'
      callId: string
      name: string
      state: 'started' | 'done' | 'failed'
      input?: Json
      output?: Json
    }
  | { type: 'file'; file: AgentFile }
  | { type: 'data'; name: string; data: Json }
  | { type: 'error'; message: string; retryable?: boolean }
  | { type: 'done'; data?: Json }

/** Turns the bytes of an answer into its events, as they come. */
export interface EventDecoder {
  push(chunk: Uint8Array): Iterable<AgentEvent>
  /** The body has ended. */
  end(): Iterable<AgentEvent>
}

/** Whether this event ends the answer. */
export function isLast(event: AgentEvent): boolean {
  return event.type === 'done' || event.type === 'error'
}

/** An answer that is not as the contract says. */
export class MalformedAnswer extends Error {
  override readonly name = 'MalformedAnswer'
}

/** A line of more bytes than are taken. */
export class LineTooLong extends Error {
  override readonly name = 'LineTooLong'
  readonly bytes: number

  constructor(bytes: number) {
    super(`a line of at least ${bytes} bytes`)
    this.bytes = bytes
  }
}

/** A `text/*` answer: every piece an event, and `done` at its end. */
export function textDecoder(): EventDecoder {
  const utf8 = new TextDecoder()
  const textOf = (text: string): AgentEvent[] => (text === '' ? [] : [{ type: 'text', text }])
  return {
    push: (chunk) => textOf(utf8.decode(chunk, { stream: true })),
    end: () => [...textOf(utf8.decode()), { type: 'done' }],
  }
}

/**
 * An `application/x-ndjson` answer. Events of unknown types are left out; a known one that is not as it must be throws
 * `MalformedAnswer`, a line over `maxLineBytes` throws `LineTooLong`.
 */
export function ndjsonDecoder(maxLineBytes: number): EventDecoder {
  const utf8 = new TextDecoder('utf-8', { fatal: true })
  let begun: Uint8Array[] = []
  let begunBytes = 0

  const keep = (piece: Uint8Array): void => {
    begunBytes += piece.byteLength
    if (begunBytes > maxLineBytes) throw new LineTooLong(begunBytes)
    if (piece.byteLength > 0) begun.push(piece)
  }
  function* line(): Iterable<AgentEvent> {
    const bytes = begun.length === 1 && begun[0] ? begun[0] : Buffer.concat(begun)
    begun = []
    begunBytes = 0
    const event = parseLine(bytes, utf8)
    if (event) yield event
  }
  return {
    *push(chunk) {
      let from = 0
      for (let at = chunk.indexOf(NEWLINE); at !== -1; at = chunk.indexOf(NEWLINE, from)) {
        keep(chunk.subarray(from, at))
        from = at + 1
        yield* line()
      }
      keep(chunk.subarray(from))
    },
    end: line,
  }
}

const NEWLINE = 0x0a

function parseLine(bytes: Uint8Array, utf8: TextDecoder): AgentEvent | undefined {
  let value: unknown
  try {
    const text = utf8.decode(bytes)
    if (text.trim() === '') return undefined
    value = JSON.parse(text)
  } catch {
    // The parser's own message quotes the line, which is the tenant's.
    throw new MalformedAnswer('a line that is not JSON')
  }
  if (!isObject(value) || typeof value.type !== 'string') throw new MalformedAnswer('an event without a type')
  if (!isKnown(value.type)) return undefined
  if (!SHAPES[value.type](value))
    throw new MalformedAnswer(`a "${value.type}" event that is not as it must be`)
  return value as unknown as AgentEvent
}

type Fields = Readonly<Record<string, unknown>>

const SHAPES: Readonly<Record<AgentEvent['type'], (event: Fields) => boolean>> = {
  text: ({ text }) => isString(text),
  status: ({ text }) => isString(text),
  tool: ({ callId, name, state }) =>
    isString(callId) && isString(name) && (state === 'started' || state === 'done' || state === 'failed'),
  file: ({ file }) =>
    isObject(file) &&
    isString(file.path) &&
    isOptional(file.name, isString) &&
    isOptional(file.mediaType, isString) &&
    isOptional(file.caption, isString) &&
    isOptional(file.bytes, (bytes) => typeof bytes === 'number' && bytes >= 0),
  data: (event) => isString(event.name) && 'data' in event,
  error: ({ message, retryable }) =>
    isString(message) && isOptional(retryable, (value) => typeof value === 'boolean'),
  done: () => true,
}

function isKnown(type: string): type is AgentEvent['type'] {
  return Object.hasOwn(SHAPES, type)
}

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isString(value: unknown): value is string {
  return typeof value === 'string'
}

function isOptional(value: unknown, is: (value: unknown) => boolean): boolean {
  return value === undefined || is(value)
}
