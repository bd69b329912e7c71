import { StringDecoder } from 'node:string_decoder'
import type Docker from 'dockerode'
import { systemClock } from '../clock.js'
import type { BoxRef, DriverCall, LogLine, LogsRequest } from '../driver.js'
import { lastLines } from '../last-lines.js'
import { boxFailed, boxGone, type Containers, forBox } from './containers.js'
import { refusalOf } from './engine-failure.js'
import { type Piece, pieces } from './multiplexed.js'
import { toMillis } from './records.js'

/** The engine cuts lines into parts of this size; a shorter one without a line feed is the last of its life. */
const PART = 16 * 1024
/** A line longer than this comes in several. */
const LONGEST_LINE = 64 * 1024
const LINE_FEED = 10

/** What boxes wrote to stdout and stderr, also in lives that have ended. */
export class Logs {
  readonly #containers: Containers

  constructor(containers: Containers) {
    this.#containers = containers
  }

  async *read(ref: BoxRef, request: LogsRequest, { signal }: DriverCall): AsyncGenerator<LogLine, void> {
    const { follow = false, tail, thisLife = false } = request
    const since = thisLife ? await this.#endOfLastLife(ref, { signal }) : request.since
    const source = await this.#open(ref, { follow, tail, since }, signal)
    // Without `follow` the engine has all it will send.
    const { engine } = this.#containers
    const silence = follow ? undefined : engine.timeout
    // The engine's own `since` counts in a coarser unit than it prints.
    for await (const line of engine.follow('send logs', logLines(pieces(source)), source, {
      signal,
      silence,
    }))
      if (since === undefined || line.at >= since) yield line
  }

  /** For an error. */
  lastLines(ref: BoxRef): Promise<string[]> {
    return lastLines(systemClock, (request, call) => this.read(ref, request, call))
  }

  /** The first millisecond after it; undefined in a box's first life. */
  async #endOfLastLife(ref: BoxRef, options: DriverCall): Promise<number | undefined> {
    const container = await forBox(ref.tenant, 'start', this.#containers.inspect(ref.id, options))
    if (!container) throw boxGone(ref)
    const finishedAt = toMillis(container.State.FinishedAt)
    return finishedAt === 0 ? undefined : finishedAt + 1
  }

  async #open(
    ref: BoxRef,
    request: LogsRequest,
    signal: AbortSignal | undefined,
  ): Promise<AsyncIterable<unknown>> {
    const { follow, tail, since } = request
    const query = {
      stdout: true,
      stderr: true,
      timestamps: true,
      tail: tail === undefined ? 'all' : String(tail),
      ...(since === undefined ? {} : { since: (since / 1000).toFixed(3) }),
    }
    try {
      return await this.#containers.engine.call(
        'send logs',
        // dockerode collects everything in memory unless told to follow; what the engine does is up to the query.
        (client, abortSignal) =>
          client
            .getContainer(ref.id)
            .logs({ follow: true, abortSignal, _query: { ...query, follow } } as FollowedLogs),
        { signal },
      )
    } catch (error) {
      const refusal = refusalOf(error)
      if (refusal?.status === 404) throw boxGone(ref)
      if (refusal)
        throw boxFailed(ref, `has no readable logs: ${refusal.message}.`, { phase: 'start' }, refusal)
      throw error
    }
  }
}

type FollowedLogs = Docker.ContainerLogsOptions & { follow: true }

/**
 * Lines out of framed log messages `<RFC 3339 time> <text>`. One message is one line, or a full part of a long one;
 * each part has a time of its own.
 */
export async function* logLines(source: AsyncIterable<Piece>): AsyncGenerator<LogLine> {
  const open = { stdout: new OpenLine('stdout'), stderr: new OpenLine('stderr') }
  const message: Record<Piece['stream'], Buffer[]> = { stdout: [], stderr: [] }
  for await (const { stream, bytes, last } of source) {
    message[stream].push(bytes)
    if (!last) continue
    const line = open[stream].add(Buffer.concat(message[stream].splice(0)))
    if (line) yield line
  }
  for (const rest of [open.stdout.end(), open.stderr.end()]) if (rest) yield rest
}

class OpenLine {
  readonly #stream: LogLine['stream']
  #decoder = new StringDecoder('utf8')
  #at = 0
  #text = ''
  #begun = false

  constructor(stream: LogLine['stream']) {
    this.#stream = stream
  }

  /** Adds one message; the line, if it is complete now. */
  add(message: Buffer): LogLine | undefined {
    const space = message.indexOf(' ')
    if (!this.#begun) this.#at = toMillis(message.toString('latin1', 0, space))
    this.#begun = true
    const part = message.subarray(space + 1)
    this.#text += this.#decoder.write(part)
    const more = part.length >= PART && part.at(-1) !== LINE_FEED && this.#text.length < LONGEST_LINE
    return more ? undefined : this.end()
  }

  end(): LogLine | undefined {
    if (!this.#begun) return undefined
    const text = (this.#text + this.#decoder.end()).replace(/\r?\n$/, '')
    this.#text = ''
    this.#begun = false
    return { at: this.#at, stream: this.#stream, text }
  }
}
