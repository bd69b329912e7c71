import { request } from 'node:http'
import type { Update } from 'grammy/types'
import { isRecord, parseJson } from '../json.js'

export type DeliveryOutcome =
  /** `answer` is a method call that the app made by its answer. */
  | { readonly ok: true; readonly answer?: Record<string, unknown> }
  /** `retryAfter` is in milliseconds, 0 when the app did not say. */
  | { readonly ok: false; readonly why: string; readonly retryAfter: number }

/** One attempt to hand an update to the app. */
export interface WebhookDelivery {
  readonly update: Update
  readonly ok: boolean
  /** Why it failed. */
  readonly why?: string
}

/** In bytes. */
const LARGEST_ANSWER = 1024 * 1024

/** Posts one update to the app. Never throws. */
export function deliver(
  { url, secretToken }: { url: string; secretToken: string },
  update: Update,
  signal: AbortSignal,
): Promise<DeliveryOutcome> {
  return new Promise((resolve) => {
    const fail = (why: string, retryAfter = 0) => resolve({ ok: false, why, retryAfter })
    const body = Buffer.from(JSON.stringify(update))
    const headers = {
      'content-type': 'application/json',
      'content-length': body.length,
      ...(secretToken !== '' && { 'x-telegram-bot-api-secret-token': secretToken }),
    }
    const posted = request(url, { method: 'POST', headers, agent: false, signal }, (response) => {
      const chunks: Buffer[] = []
      let size = 0
      response.on('data', (chunk: Buffer) => {
        size += chunk.length
        if (size > LARGEST_ANSWER) response.destroy(new Error('the answer is too long'))
        else chunks.push(chunk)
      })
      response.on('error', (error) => fail(error.message))
      response.on('end', () => {
        const { statusCode = 0, statusMessage = '' } = response
        if (statusCode >= 200 && statusCode < 300) resolve(accepted(Buffer.concat(chunks).toString()))
        else
          fail(
            `Wrong response from the webhook: ${statusCode} ${statusMessage}`,
            1000 * (Number(response.headers['retry-after']) || 0),
          )
      })
    })
    posted.on('error', (error) => fail(why(error, signal)))
    posted.end(body)
  })
}

function accepted(body: string): DeliveryOutcome {
  const answer = parseJson(body)?.value
  return isRecord(answer) && typeof answer.method === 'string' ? { ok: true, answer } : { ok: true }
}

function why(error: NodeJS.ErrnoException, signal: AbortSignal): string {
  if (signal.aborted) return 'Read timeout expired'
  return error.code === 'ECONNREFUSED' ? 'Connection refused' : 'Connection closed'
}
