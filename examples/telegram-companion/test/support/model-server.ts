import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import { json } from 'node:stream/consumers'
import { onTestFinished } from 'vitest'
import type { ChatDelta, ChatRequest } from '../../src/agent/model/chat-types.js'

export interface ModelServer {
  readonly baseUrl: string
  readonly asked: {
    readonly path: string
    readonly headers: IncomingHttpHeaders
    readonly body: ChatRequest
  }[]
}

/** How the model answers one request. */
export type Reply = (response: ServerResponse) => void | Promise<void>

/** An OpenAI-compatible endpoint on this machine. Each request gets the next reply; the last one stays. */
export async function modelServer(...replies: readonly Reply[]): Promise<ModelServer> {
  const asked: ModelServer['asked'] = []
  const server = createServer(async (request, response) => {
    const body = (await json(request)) as ChatRequest
    asked.push({ path: request.url ?? '', headers: request.headers, body })
    await (replies[asked.length - 1] ?? replies.at(-1))?.(response)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(async () => {
    server.close()
    server.closeAllConnections()
    await once(server, 'close')
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('a TCP server without a port')
  return { baseUrl: `http://127.0.0.1:${address.port}/v1`, asked }
}

export const says = (...words: readonly string[]): Reply => streams(...words.map((content) => ({ content })))

/** Calls a tool, the arguments in two pieces, as models do. */
export function calls(name: string, given: object): Reply {
  const text = JSON.stringify(given)
  return streams(
    { tool_calls: [{ index: 0, id: 'call-1', function: { name, arguments: text.slice(0, 5) } }] },
    { tool_calls: [{ index: 0, function: { arguments: text.slice(5) } }] },
  )
}

function streams(...deltas: readonly ChatDelta[]): Reply {
  return (response) => {
    begin(response, ...deltas)
    response.end('data: [DONE]\n\n')
  }
}

/** Begins an answer, and goes no further. */
export function begin(response: ServerResponse, ...deltas: readonly ChatDelta[]): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  for (const delta of deltas)
    response.write(`data: ${JSON.stringify({ choices: [{ index: 0, delta }] })}\n\n`)
}

export const fails =
  (status: number, body = ''): Reply =>
  (response) => {
    response.writeHead(status).end(body)
  }

export const breaksOff: Reply = (response) => {
  begin(response, { content: 'Hel' })
  response.destroy()
}
