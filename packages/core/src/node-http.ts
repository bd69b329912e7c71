import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Clock } from './clock.js'

const ORIGIN = 'http://gateway'
const BODILESS: ReadonlySet<string | undefined> = new Set(['GET', 'HEAD'])

/** About one connection only, or worked out anew for it. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])
/** No longer true of a body that `fetch` has decoded. */
const ENCODING: ReadonlySet<string> = new Set(['content-encoding', 'content-length'])

/**
 * Has `listener` answer the requests of `server`. Where more than `most` wait on one connection for the answers before
 * them (pipelining), all connections are cut: Node parses what it has read in one go, thousands of requests, and each of
 * the others may hold as many. All answers of a connection emit `close` with it: Node tells only the one that is being
 * sent, not those queued behind it.
 */
export function answerRequests(server: Server, most: number, listener: RequestListener): void {
  const queues = new WeakMap<Socket, Set<ServerResponse>>()
  server.on('connection', (socket: Socket) => {
    const queue = new Set<ServerResponse>()
    queues.set(socket, queue)
    socket.once('close', () => {
      for (const outgoing of queue) if (!outgoing.socket) outgoing.destroy().emit('close')
    })
  })
  server.on('request', (incoming, outgoing) => {
    const { socket } = incoming
    const queue = queues.get(socket)
    // What was read along with the request for which it was cut is parsed all the same.
    if (!queue || socket.destroyed) return
    if (queue.size >= most) return server.closeAllConnections()
    queue.add(outgoing)
    outgoing.once('close', () => queue.delete(outgoing))
    listener(incoming, outgoing)
  })
}

/** The body of a request has more bytes than are taken. */
export class BodyTooLarge extends Error {
  override readonly name = 'BodyTooLarge'

  constructor(maxBytes: number) {
    super(`the body of the request has more than ${maxBytes} bytes`)
  }
}

export interface RequestBounds {
  readonly maxBodyBytes: number
  /** Told the size of each chunk of the body, which fails with what this throws. */
  readonly count: (bytes: number) => void
  readonly signal: AbortSignal
}

/**
 * A request that `node:http` has received, as the platform's own. Its body fails with `BodyTooLarge` beyond
 * `maxBodyBytes`.
 *
 * @throws BodyTooLarge when its headers say so already
 * @throws TypeError for what cannot be one: a method that `Request` refuses, a target that is no path
 */
export function toRequest(
  incoming: IncomingMessage,
  { maxBodyBytes, count, signal }: RequestBounds,
): Request {
  const { url, method, headers, rawHeaders } = incoming
  if (!url?.startsWith('/')) throw new TypeError('the target of the request is no path')
  if (Number(headers['content-length'] ?? 0) > maxBodyBytes) throw new BodyTooLarge(maxBodyBytes)
  const all = new Headers()
  for (let at = 0; at + 1 < rawHeaders.length; at += 2)
    all.append(rawHeaders[at] ?? '', rawHeaders[at + 1] ?? '')
  return new Request(ORIGIN + url, {
    method: method ?? 'GET',
    headers: all,
    body: BODILESS.has(method) ? null : ReadableStream.from(bounded(incoming, maxBodyBytes, count)),
    duplex: 'half',
    signal,
  })
}

async function* bounded(
  incoming: IncomingMessage,
  maxBodyBytes: number,
  count: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  let bytes = 0
  for await (const chunk of incoming) {
    bytes += chunk.length
    if (bytes > maxBodyBytes) throw new BodyTooLarge(maxBodyBytes)
    count(chunk.length)
    yield chunk
  }
}

/**
 * Sends a response as fast as its reader takes it; one that takes nothing for `stallMs` is cut off. Resolves when all
 * of it is out or the reader has gone.
 *
 * @throws what the response's own body fails with; the connection is then cut, so that nobody takes half for all
 */
export async function sendResponse(
  response: Response,
  outgoing: ServerResponse,
  { clock, stallMs }: { clock: Clock; stallMs: number },
): Promise<void> {
  const reader = response.body?.getReader()
  // Whoever still produces it need not.
  const onClose = (): void => void reader?.cancel().catch(() => undefined)
  outgoing.once('close', onClose)
  try {
    setHead(outgoing, response)
    while (reader && outgoing.req.method !== 'HEAD') {
      const { done, value } = await reader.read()
      if (done || outgoing.destroyed) break
      if (!outgoing.write(value)) await settled(outgoing, 'drain', clock, stallMs)
    }
    outgoing.end()
    await settled(outgoing, 'finish', clock, stallMs)
  } catch (error) {
    outgoing.destroy()
    throw error
  } finally {
    outgoing.off('close', onClose)
    onClose()
  }
}

function setHead(outgoing: ServerResponse, response: Response): void {
  // Only what was fetched has a URL, and `fetch` has decoded its body.
  const decoded = response.url !== ''
  outgoing.statusCode = response.status
  for (const [name, value] of response.headers)
    if (!HOP_BY_HOP.has(name) && !(decoded && ENCODING.has(name))) outgoing.appendHeader(name, value)
  // What is left of the request would have to be read first.
  if (!outgoing.req.complete) outgoing.setHeader('connection', 'close')
}

/** Waits for `event` or the end of the connection, which it brings about after `stallMs`. */
function settled(
  outgoing: ServerResponse,
  event: 'drain' | 'finish',
  clock: Clock,
  stallMs: number,
): Promise<void> {
  return new Promise((resolve) => {
    if (outgoing.destroyed || (event === 'finish' && outgoing.writableFinished)) return resolve()
    const cancel = clock.after(stallMs, () => outgoing.destroy())
    const settle = (): void => {
      cancel()
      outgoing.off(event, settle).off('close', settle)
      resolve()
    }
    outgoing.once(event, settle).once('close', settle)
  })
}
