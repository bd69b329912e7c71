import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { Pool } from 'undici'
import { agentFailed, agentLate, agentUnreachable } from './agent-errors.js'
import { type Clock, systemClock } from './clock.js'
import { isTenantBoxError } from './errors.js'
import { Exchange } from './exchange.js'
import { invalidOption } from './units.js'

/** How long an agent may take, in milliseconds; false for as long as it likes. */
interface TransportTimeouts {
  /** For a connection. */
  readonly connect: number | false
  /** From the connection to the end of the answer's headers: a drip of them does not renew it. */
  readonly firstByte: number | false
  /** Between two pieces of the answer's body. */
  readonly silence: number | false
}

export interface TransportOptions {
  readonly tenant: string
  /** A fresh connection to the agent. */
  readonly dial: (signal: AbortSignal) => Promise<Duplex>
  readonly timeouts: TransportTimeouts
  readonly limits?: {
    /** Of one answer. @default 16 KiB */
    readonly headerBytes?: number | undefined
    /** Of one answer. @default 64 MiB */
    readonly bodyBytes?: number | undefined
  }
  readonly clock?: Clock | undefined
}

/** `timeout` bounds the whole exchange, from the call to the last byte of the body, in milliseconds. @default none */
type TransportInit = RequestInit & { timeout?: number | undefined }

/** HTTP with the agent in one life of a box. */
export interface Transport {
  readonly tenant: string
  /**
   * `fetch` of the platform, to the agent and nowhere else. Redirects are not followed: they are an error, or with
   * `redirect: 'manual'` the answer. Encoded bodies are refused.
   *
   * @param path begins with exactly one `/`
   * @throws TenantBoxError `AGENT_FAILED` (`sent: false`: nothing has left, the request may be repeated), `TIMEOUT`,
   * `TOO_LARGE`, `INVALID_OPTION` for the path; reading the body may throw the same
   * @throws the reason of `init.signal`; what `init.body` fails with; `TypeError` for an init that `fetch` refuses
   */
  fetch(path: string, init?: TransportInit): Promise<Response>
  /**
   * Whether anybody takes a connection, at a tenth of the cost of a request.
   *
   * @throws TenantBoxError `AGENT_FAILED`; the reason of `signal`
   */
  knock(signal: AbortSignal): Promise<void>
  /** Closes every connection. Requests under way fail with `reason`, and so do later ones. */
  close(reason?: Error): Promise<void>
}

/** Nothing ever resolves this name: a request that does not go through our dispatcher goes nowhere. */
const ORIGIN = 'http://agent.invalid'
/** What the agent reads as `host`: the name that web frameworks accept without being told. */
const AGENT_ORIGIN = 'http://localhost'
/** Shorter than any server's, so that no request meets a connection that its other side is just closing. */
const KEEP_ALIVE_MS = 1_000
const MAX_HEADER_BYTES = 16 * 1024
const MAX_BODY_BYTES = 64 * 1024 * 1024

export function openTransport(options: TransportOptions): Transport {
  return new SocketTransport(options)
}

class SocketTransport implements Transport {
  readonly tenant: string
  readonly #options: TransportOptions
  readonly #clock: Clock
  readonly #headerBytes: number
  readonly #bodyBytes: number
  readonly #connections: Pool
  readonly #dialling = new Set<AbortController>()
  #closed: Error | undefined

  constructor(options: TransportOptions) {
    this.tenant = options.tenant
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#headerBytes = options.limits?.headerBytes ?? MAX_HEADER_BYTES
    this.#bodyBytes = options.limits?.bodyBytes ?? MAX_BODY_BYTES
    this.#connections = new Pool(AGENT_ORIGIN, {
      connect: (_options, connected) => {
        this.#dial().then(
          // Any stream does; undici's types know sockets only.
          (stream) => connected(null, stream as Socket),
          (error) => connected(error, null),
        )
      },
      pipelining: 1,
      maxHeaderSize: this.#headerBytes,
      keepAliveTimeout: KEEP_ALIVE_MS,
      keepAliveMaxTimeout: KEEP_ALIVE_MS,
      // The exchange has its own, which interim answers and dripping headers do not renew.
      headersTimeout: 0,
      bodyTimeout: 0,
    })
  }

  async fetch(path: string, init: TransportInit = {}): Promise<Response> {
    assertPath(path)
    if (this.#closed) throw this.#closed
    const signal = init.signal ?? undefined
    signal?.throwIfAborted()
    const method = init.method ?? 'GET'
    const headers = new Headers(init.headers)
    headers.set('accept-encoding', 'identity')
    const { firstByte, silence } = this.#options.timeouts
    const exchange = new Exchange(
      this.#connections,
      {
        tenant: this.tenant,
        clock: this.#clock,
        method: method.toUpperCase(),
        showRedirects: init.redirect === 'manual',
        total: init.timeout ?? false,
        firstByte,
        silence,
        headerBytes: this.#headerBytes,
        bodyBytes: this.#bodyBytes,
      },
      signal,
    )
    try {
      // Member by member, not spread: `init` may be a Request, whose members are getters.
      return await globalThis.fetch(ORIGIN + path, {
        method,
        headers,
        body: init.body ?? null,
        duplex: 'half',
        redirect: 'manual',
        signal: exchange.signal,
        // `fetch` calls nothing but `dispatch`.
        dispatcher: exchange as unknown as NonNullable<RequestInit['dispatcher']>,
      })
    } catch (error) {
      throw exchange.explain(error)
    }
  }

  async knock(signal: AbortSignal): Promise<void> {
    if (this.#closed) throw this.#closed
    try {
      const connection = await this.#options.dial(signal)
      connection.destroy()
    } catch (error) {
      signal.throwIfAborted()
      throw isTenantBoxError(error) ? error : agentUnreachable(this.tenant, error)
    }
  }

  async close(reason?: Error): Promise<void> {
    this.#closed ??=
      reason ?? agentFailed(this.tenant, 'is no longer connected', { sent: false, partial: false })
    for (const attempt of this.#dialling) attempt.abort(this.#closed)
    await this.#connections.destroy(this.#closed)
  }

  /** One connection, bounded in time whether or not the dial heeds its signal. */
  #dial(): Promise<Duplex> {
    const attempt = new AbortController()
    const { signal } = attempt
    const { connect } = this.#options.timeouts
    const cancel =
      connect === false
        ? undefined
        : this.#clock.after(connect, () =>
            attempt.abort(agentLate(this.tenant, 'take a connection', connect)),
          )
    this.#dialling.add(attempt)
    return new Promise<Duplex>((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason))
      this.#options.dial(signal).then((stream) => {
        if (signal.aborted || stream.destroyed) {
          stream.destroy()
          reject(new Error('the connection was closed at once'))
        } else resolve(stream)
      }, reject)
    }).finally(() => {
      cancel?.()
      this.#dialling.delete(attempt)
    })
  }
}

/** Such that no parser can read anything but the path of our own origin from it. */
function assertPath(path: string): void {
  if (typeof path === 'string' && /^\/(?!\/)[^\\\t\r\n]*$/.test(path)) return
  throw invalidOption(
    'path',
    'a path that begins with exactly one "/" and holds no backslash or line break',
    path,
  )
}
