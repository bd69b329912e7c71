import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type Duplex, Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { ReadableStream } from 'node:stream/web'
import { toMessage } from '../text.js'
import type { MemoryAgent, MemoryProcess } from './memory-image.js'

/** Speaks real HTTP/1.1 for an agent, over whatever connection is handed in. Listens nowhere. */
export function agentServer(agent: MemoryAgent, process: MemoryProcess): (connection: Duplex) => void {
  const server = createServer((incoming, outgoing) => {
    const gone = new AbortController()
    outgoing.once('close', () => {
      if (!outgoing.writableFinished) gone.abort()
    })
    answer(agent, process, toRequest(incoming, gone.signal), outgoing).catch((error) => {
      // Nobody is left to tell, and it was no fault of the agent's.
      if (gone.signal.aborted) return
      process.stderr.write(`${toMessage(error)}\n`)
      if (outgoing.headersSent) outgoing.destroy()
      else outgoing.writeHead(500).end()
    })
  })
  return (connection) => server.emit('connection', connection)
}

async function answer(
  agent: MemoryAgent,
  process: MemoryProcess,
  request: Request,
  outgoing: ServerResponse,
): Promise<void> {
  const response = await agent(request, process)
  outgoing.statusCode = response.status
  outgoing.statusMessage = response.statusText
  for (const [name, value] of response.headers) outgoing.appendHeader(name, value)
  if (!response.body) {
    outgoing.end()
    return
  }
  // The head goes out at once: the body's first byte may take its time.
  outgoing.flushHeaders()
  await pipeline(Readable.fromWeb(response.body as ReadableStream), outgoing)
}

function toRequest(incoming: IncomingMessage, signal: AbortSignal): Request {
  const headers = new Headers()
  for (const [name, values] of Object.entries(incoming.headersDistinct))
    for (const value of values ?? []) headers.append(name, value)
  const { method = 'GET', url = '/' } = incoming
  const body = method === 'GET' || method === 'HEAD' ? null : Readable.toWeb(incoming)
  return new Request(`http://box${url}`, { method, headers, body, signal, duplex: 'half' } as RequestInit)
}
