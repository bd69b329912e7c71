import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { type Clock, systemClock } from './clock.js'
import { readInTurns } from './gated-connection.js'
import { type GatewayHandler, GatewayRoutes } from './gateway-routes.js'
import { answerRequests, BodyTooLarge, sendResponse, toRequest } from './node-http.js'
import { PendingBytes, TooManyBytes } from './pending-bytes.js'
import { Serial } from './serial.js'
import { Throttle } from './throttle.js'
import { Turns } from './turns.js'
import { listenUnixSocket } from './unix-socket.js'
import type { WarningCode } from './warnings.js'

export type { GatewayHandler }

/** Each for one tenant: what one takes, the others still have. Times in milliseconds. */
export interface GatewayLimits {
  /** @default 64 */
  readonly connections: number
  /** Requests at a time; the next are answered with 503. @default 32 */
  readonly requests: number
  /** @default 16 KiB */
  readonly headerBytes: number
  /** Of a request; answered with 413. @default 32 MiB */
  readonly bodyBytes: number
  /** Of all requests that are not answered yet, as handlers may hold them in memory; the rest gets 503. @default 64 MiB */
  readonly pendingBytes: number
  /** For the headers of a request to arrive. @default 10000 */
  readonly headersMs: number
  /** For all of a request to arrive. @default 60000 */
  readonly requestMs: number
  /** For the box to take the next bytes of an answer. @default 60000 */
  readonly stallMs: number
}

export interface GatewaySocketsOptions {
  /** Something went wrong that only the app can mend; the box was told no details. */
  readonly onWarning: (code: WarningCode, message: string, about: { tenant: string; cause: unknown }) => void
  readonly limits?: Partial<GatewayLimits> | undefined
  readonly clock?: Clock | undefined
}

/** How often a server looks for connections that are late, and closes them. */
const LOOK_MS = 5_000
const KEEP_ALIVE_MS = 5_000
/** Requests of one connection at a time. Clients that send the next before the answer are rare, and send few. */
const MOST_PIPELINED = 8
const WARN_EVERY_MS = 1_000
const SOCKET_NAME = 'gateway.sock'

/**
 * The way from the boxes to the gateway: one socket per tenant, mounted into that tenant's box alone, so that the
 * socket itself tells who asks.
 */
export class GatewaySockets {
  readonly #options: GatewaySocketsOptions
  readonly #limits: GatewayLimits
  readonly #clock: Clock
  readonly #routes = new GatewayRoutes()
  readonly #sockets = new Map<string, TenantSocket>()

  constructor(options: GatewaySocketsOptions) {
    const { limits = {} } = options
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#limits = {
      connections: limits.connections ?? 64,
      requests: limits.requests ?? 32,
      headerBytes: limits.headerBytes ?? 16 * 1024,
      bodyBytes: limits.bodyBytes ?? 32 * 1024 * 1024,
      pendingBytes: limits.pendingBytes ?? 64 * 1024 * 1024,
      headersMs: limits.headersMs ?? 10_000,
      requestMs: limits.requestMs ?? 60_000,
      stallMs: limits.stallMs ?? 60_000,
    }
  }

  /**
   * Has `handler` answer all tenants' requests for `prefix` and the paths below it. The longest prefix wins.
   *
   * @returns the remover
   * @throws TenantBoxError `INVALID_OPTION` for what is no prefix or has a handler already
   */
  serve(prefix: string, handler: GatewayHandler): () => void {
    return this.#routes.add(prefix, handler)
  }

  /** Listens on `gateway.sock` in the tenant's own directory. Once it does, calling it again changes nothing. */
  open(tenant: string, directory: string): Promise<void> {
    const socket = this.#sockets.get(tenant) ?? new TenantSocket()
    this.#sockets.set(tenant, socket)
    return socket.serial.run(async () => {
      if (socket.server) return
      const server = this.#createServer(tenant)
      await listenUnixSocket(server, directory, SOCKET_NAME)
      socket.server = server
    })
  }

  /** Cuts the tenant's requests off, aborting their handlers' signals. */
  async close(tenant: string): Promise<void> {
    const socket = this.#sockets.get(tenant)
    if (!socket) return
    await socket.serial.run(async () => {
      const { server } = socket
      socket.server = undefined
      if (server) await shut(server)
    })
    if (!socket.serial.busy && !socket.server && this.#sockets.get(tenant) === socket)
      this.#sockets.delete(tenant)
  }

  async closeAll(): Promise<void> {
    await Promise.all([...this.#sockets.keys()].map((tenant) => this.close(tenant)))
  }

  #createServer(tenant: string): Server {
    const limits = this.#limits
    const server = createServer({
      maxHeaderSize: limits.headerBytes,
      headersTimeout: limits.headersMs,
      requestTimeout: limits.requestMs,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectionsCheckingInterval: Math.min(LOOK_MS, limits.headersMs),
    })
    server.maxConnections = limits.connections
    const pending = new PendingBytes(limits.pendingBytes)
    let requests = 0
    answerRequests(server, MOST_PIPELINED, (incoming, outgoing) => {
      requests++
      const { count, release } = pending.open()
      outgoing.once('close', () => {
        requests--
        release()
      })
      void this.#answer({ tenant, incoming, count }, outgoing, requests > limits.requests)
    })
    readInTurns(server, new Turns())
    // Without a listener a connection that cannot be accepted would end the process.
    server.on('error', (cause) =>
      this.#warn(tenant, 'GATEWAY_SOCKET', 'The gateway socket cannot be connected to', cause),
    )
    return server
  }

  /** Never rejects. */
  async #answer(asked: Asked, outgoing: ServerResponse, busy: boolean): Promise<void> {
    const gone = new AbortController()
    outgoing.once('close', () => {
      if (!outgoing.writableFinished) gone.abort(new DOMException('The box has gone.', 'AbortError'))
    })
    const { stallMs } = this.#limits
    try {
      const response = busy ? refusal(503) : await this.#respond(asked, gone.signal)
      await sendResponse(response, outgoing, { clock: this.#clock, stallMs })
    } catch (cause) {
      if (!gone.signal.aborted)
        this.#warn(
          asked.tenant,
          'GATEWAY_HANDLER',
          'The answer of a pool.serve handler could not be sent',
          cause,
        )
    }
  }

  async #respond({ tenant, incoming, count }: Asked, signal: AbortSignal): Promise<Response> {
    let request: Request
    try {
      request = toRequest(incoming, { maxBodyBytes: this.#limits.bodyBytes, count, signal })
    } catch (error) {
      return refusal(error instanceof BodyTooLarge ? 413 : 400)
    }
    const handler = this.#routes.find(new URL(request.url).pathname)
    if (!handler) return refusal(404)
    try {
      const response: unknown = await handler(request, { tenant, signal })
      if (isSendable(response)) return response
      throw new TypeError('a handler must return a Response of the platform, its body not read yet')
    } catch (cause) {
      if (cause instanceof BodyTooLarge) return refusal(413)
      if (cause instanceof TooManyBytes) return refusal(503)
      if (!signal.aborted) this.#warn(tenant, 'GATEWAY_HANDLER', 'A pool.serve handler failed', cause)
      return refusal(500)
    }
  }

  /** A box can have handlers fail as often as it likes: that must not fill the gateway's log. */
  #warn(tenant: string, code: WarningCode, what: string, cause: unknown): void {
    const unsaid = this.#sockets.get(tenant)?.warnings.pass(this.#clock.monotonic()) ?? 0
    if (unsaid === 'not now') return
    const more = unsaid === 0 ? '' : ` So it was ${unsaid} more times since the last warning.`
    this.#options.onWarning(code, `${what}, for tenant ${JSON.stringify(tenant)}: see the cause.${more}`, {
      tenant,
      cause,
    })
  }
}

function isSendable(value: unknown): value is Response {
  return value instanceof Response && value.status >= 200 && !value.bodyUsed && !value.body?.locked
}

/** A request, who asks, and what is told of each chunk of its body. */
interface Asked {
  readonly tenant: string
  readonly incoming: IncomingMessage
  readonly count: (bytes: number) => void
}

class TenantSocket {
  readonly serial = new Serial()
  readonly warnings = new Throttle(WARN_EVERY_MS)
  server: Server | undefined
}

async function shut(server: Server): Promise<void> {
  const closed = once(server, 'close')
  server.close()
  server.closeAllConnections()
  await closed
}

const REFUSALS = {
  400: 'bad request',
  404: 'not found',
  413: 'request body too large',
  500: 'internal error',
  503: 'too much at a time',
} as const

function refusal(status: keyof typeof REFUSALS): Response {
  const headers = status === 503 ? { 'retry-after': '1' } : {}
  return Response.json({ error: REFUSALS[status] }, { status, headers })
}
