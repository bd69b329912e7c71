import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { AgentEvent, AgentMessage } from '@tenantbox/core'
import type { Companion } from './companion.js'
import type { Turns } from './turns.js'

const LONGEST_BODY = 1024 * 1024

/** The agent contract of TenantBox over HTTP: docs/agent-contract.md. */
export function agentServer(companion: Companion, turns: Turns): Server {
  return createServer((request, response) => {
    route(request, response, companion, turns).catch((error) => {
      console.error(error)
      if (response.headersSent) response.destroy()
      else response.writeHead(error instanceof BadRequest ? 400 : 500).end()
    })
  })
}

async function route(
  request: IncomingMessage,
  response: ServerResponse,
  companion: Companion,
  turns: Turns,
): Promise<void> {
  switch (`${request.method} ${request.url}`) {
    case 'GET /healthz':
      response.end('{}')
      return
    case 'POST /message': {
      const message = toMessage(await readJson(request))
      const gone = new AbortController()
      response.once('close', () => gone.abort(new Error('Nobody listens.')))
      response.writeHead(200, { 'content-type': 'application/x-ndjson' })
      const events = turns.take(message.id, gone.signal, (signal) => companion.answer(message, signal))
      await pipeline(Readable.from(lines(events)), response).catch((error: unknown) => {
        if (!gone.signal.aborted) throw error
      })
      return
    }
    case 'POST /cancel': {
      const { id } = await readJson(request)
      response.writeHead(typeof id === 'string' && turns.cancel(id) ? 200 : 404).end()
      return
    }
    default:
      response.writeHead(404).end()
  }
}

async function* lines(events: AsyncIterable<AgentEvent>): AsyncGenerator<string> {
  for await (const event of events) yield `${JSON.stringify(event)}\n`
}

async function readJson(request: IncomingMessage): Promise<Readonly<Record<string, unknown>>> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > LONGEST_BODY) throw new BadRequest('The body is too long.')
    chunks.push(chunk)
  }
  try {
    const value: unknown = JSON.parse(Buffer.concat(chunks).toString())
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>
  } catch (error) {
    throw new BadRequest('The body is not JSON.', { cause: error })
  }
  throw new BadRequest('The body is no object.')
}

/** The gateway vouches for the rest: only what would break everything here is looked at. */
function toMessage(body: Readonly<Record<string, unknown>>): AgentMessage {
  if (typeof body.id !== 'string' || typeof body.text !== 'string')
    throw new BadRequest('A message has an id and a text.')
  return body as unknown as AgentMessage
}

class BadRequest extends Error {
  override readonly name = 'BadRequest'
}
