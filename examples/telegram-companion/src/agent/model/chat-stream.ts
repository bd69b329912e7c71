import { request as httpRequest, type IncomingMessage } from 'node:http'
import { EventSourceParserStream } from 'eventsource-parser/stream'
import { BrainError } from '../brain.js'
import type { ChatDelta, ChatRequest } from './chat-types.js'

/**
 * Asks the model by way of the gateway, which has the key, and yields its answer piece by piece.
 *
 * @param gateway the unix socket on which the gateway answers
 * @throws BrainError
 */
export async function* streamChat(
  gateway: string,
  body: ChatRequest,
  signal: AbortSignal,
): AsyncGenerator<ChatDelta> {
  const response = await post(gateway, JSON.stringify(body), signal)
  if (response.statusCode !== 200) {
    response.resume()
    throw refusal(response.statusCode ?? 0)
  }
  let complete = false
  try {
    for await (const data of eventsOf(response)) {
      if (data === '[DONE]') complete = true
      else yield deltaOf(data)
    }
  } catch (cause) {
    if (cause instanceof BrainError || signal.aborted) throw cause
    throw broken(cause)
  }
  if (!complete) throw broken()
}

function post(socketPath: string, body: string, signal: AbortSignal): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
    httpRequest({ socketPath, method: 'POST', path: '/llm/chat/completions', headers, signal }, resolve)
      .once('error', (cause) => {
        reject(
          signal.aborted ? cause : new BrainError('I cannot reach my model.', { retryable: true, cause }),
        )
      })
      .end(body)
  })
}

async function* eventsOf(response: IncomingMessage): AsyncGenerator<string> {
  const text = ReadableStream.from<Uint8Array>(response).pipeThrough(new TextDecoderStream())
  for await (const { data } of text.pipeThrough(new EventSourceParserStream())) yield data
}

function deltaOf(data: string): ChatDelta {
  const { choices } = JSON.parse(data) as { choices?: readonly { delta?: ChatDelta }[] }
  return choices?.[0]?.delta ?? {}
}

function refusal(status: number): BrainError {
  if (status === 429)
    return new BrainError('My model has too much to do. Please try again in a minute.', { retryable: true })
  if (status >= 500) return new BrainError('My model does not answer just now.', { retryable: true })
  return new BrainError('My model refuses to answer. Please tell whoever runs me.', { retryable: false })
}

function broken(cause?: unknown): BrainError {
  return new BrainError('My model stopped in the middle of its answer.', { retryable: true, cause })
}
