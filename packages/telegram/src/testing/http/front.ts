import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { ApiError } from '../api-error.js'
import type { CallOutcome } from '../calls.js'
import { type Fault, refusal } from '../faults.js'
import type { StoredFile } from '../state/files.js'
import { parseParams, readBody } from './body.js'
import type { Params } from './params.js'

/** Files of up to 50 MB, and something for what goes around them. */
const LARGEST_BODY = 51 * 1024 * 1024

export interface Backend {
  readonly token: string
  /** Runs a call, unless it is refused, and keeps it in the log. */
  call(method: string, params: Params, gone: AbortSignal, refused?: ApiError): Promise<CallOutcome>
  /** What goes wrong with this call. */
  fault(method: string, params: Params): Fault | undefined
  file(path: string): StoredFile | undefined
  /** Resolves after so many milliseconds. */
  pause(ms: number): Promise<void>
}

/** The HTTP side: routes, tokens, bodies, and the faults of a network. */
export class Front {
  readonly #backend: Backend
  readonly #server: Server
  #reachable = true

  constructor(backend: Backend) {
    this.#backend = backend
    this.#server = createServer((request, response) => {
      // Whoever asked has hung up in the middle.
      this.#serve(request, response).catch(() => response.destroy())
    })
    this.#server.on('connection', (socket) => {
      if (!this.#reachable) socket.destroy()
    })
  }

  /** @returns the port */
  listen(port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(port, '127.0.0.1', () => {
        this.#server.off('error', reject)
        resolve(boundPort(this.#server.address()))
      })
    })
  }

  /** Breaks all connections and, until it is reachable again, every new one. */
  reachable(reachable: boolean): void {
    this.#reachable = reachable
    if (!reachable) this.#server.closeAllConnections()
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve())
      this.#server.closeAllConnections()
    })
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://127.0.0.1')
    const [, kind, token, rest] = /^\/(file\/)?bot([^/]*)\/(.+)$/.exec(decoded(url.pathname)) ?? []
    if (token === undefined || rest === undefined)
      return answerError(response, new ApiError(404, 'Not Found'))
    if (token !== this.#backend.token) {
      const isToken = /^\d+:[\w-]+$/.test(token)
      const description = isToken ? 'Unauthorized' : 'Unauthorized: invalid token specified'
      return answerError(response, new ApiError(401, description))
    }
    if (kind) return this.#sendFile(rest, response)
    await this.#answerCall(rest, url.searchParams, request, response)
  }

  async #answerCall(
    method: string,
    query: URLSearchParams,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const gone = new AbortController()
    response.on('close', () => gone.abort())
    let params: Params
    try {
      const body = await readBody(request, LARGEST_BODY)
      params = await parseParams(query, request.headers['content-type'] ?? '', body)
    } catch (error) {
      if (!(error instanceof ApiError)) throw error
      return answerError(response, error)
    }
    const fault = this.#backend.fault(method, params)
    switch (fault?.type) {
      case 'drop':
        response.destroy()
        return
      case 'hang':
        return
      case 'bad-gateway':
        response.writeHead(502, { 'content-type': 'text/html' }).end('<html><h1>502 Bad Gateway</h1></html>')
        return
      case 'delay':
        await this.#backend.pause(fault.ms)
    }
    const outcome = await this.#backend.call(method, params, gone.signal, refusal(fault))
    if (fault?.type === 'lose-answer') response.destroy()
    else answer(response, outcome)
  }

  #sendFile(path: string, response: ServerResponse): void {
    const file = this.#backend.file(path)
    if (!file) {
      answerError(response, new ApiError(404, 'Not Found'))
      return
    }
    response.writeHead(200, {
      'content-type': 'application/octet-stream',
      'content-length': file.bytes.length,
    })
    response.end(file.bytes)
  }
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path)
  } catch (error) {
    if (error instanceof URIError) return ''
    throw error
  }
}

function answerError(response: ServerResponse, { code, description }: ApiError): void {
  answer(response, { ok: false, code, description })
}

function answer(response: ServerResponse, outcome: CallOutcome): void {
  const body = outcome.ok
    ? { ok: true, result: outcome.result }
    : {
        ok: false,
        error_code: outcome.code,
        description: outcome.description,
        ...(outcome.parameters && { parameters: outcome.parameters }),
      }
  response.writeHead(outcome.ok ? 200 : outcome.code, { 'content-type': 'application/json' })
  response.end(JSON.stringify(body))
}

function boundPort(address: AddressInfo | string | null): number {
  if (address === null || typeof address === 'string') throw new Error('The server has no port.')
  return address.port
}
