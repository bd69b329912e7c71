import type { GatewayHandler } from '@tenantbox/core'
import type { Budget } from './budget.js'
import { checkedRequest, Refusal } from './chat-request.js'

/** Where the model is. Only the gateway ever sees this. */
export interface ModelAccess {
  /** Such as `https://api.openai.com/v1`. */
  readonly baseUrl: string
  /** Undefined where the endpoint asks for none. */
  readonly key: string | undefined
  readonly model: string
}

export interface LlmProxyOptions {
  readonly access: ModelAccess
  readonly budget: Budget
  /** Told of each refusal and failure, never of what was asked or answered. */
  readonly onTrouble: (trouble: { tenant: string; code: string }) => void
  /** Aborts an answer that takes too long. @default five minutes from now */
  readonly deadline?: (() => AbortSignal) | undefined
}

const PATH = '/llm/chat/completions'
const LONGEST_ANSWER = 4 * 1024 * 1024
const LONGEST_WAIT_MS = 5 * 60_000

/**
 * What boxes reach under `/llm`: one path and one model, within a budget. The key is added here, and nothing of the
 * endpoint's own error messages is passed on, as some repeat the key.
 */
export function llmProxy({ access, budget, onTrouble, deadline }: LlmProxyOptions): GatewayHandler {
  const inTime = deadline ?? (() => AbortSignal.timeout(LONGEST_WAIT_MS))
  return async (request, { tenant, signal }) => {
    try {
      if (request.method !== 'POST' || new URL(request.url).pathname !== PATH)
        throw new Refusal(404, 'not_found')
      const body = await checkedRequest(request, access.model)
      const taken = budget.take(tenant)
      if (typeof taken === 'number') throw new Refusal(429, 'budget_exceeded', taken)
      signal.addEventListener('abort', taken, { once: true })
      try {
        return await ask(access, body, AbortSignal.any([signal, inTime()]), taken)
      } catch (error) {
        taken()
        throw error
      }
    } catch (error) {
      const refusal = error instanceof Refusal ? error : new Refusal(502, 'model_unreachable')
      onTrouble({ tenant, code: refusal.code })
      return refusal.response()
    }
  }
}

async function ask(
  { baseUrl, key }: ModelAccess,
  body: string,
  signal: AbortSignal,
  done: () => void,
): Promise<Response> {
  const answer = await fetch(`${baseUrl}/chat/completions`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
    },
    body,
    // A redirect would carry the request elsewhere.
    redirect: 'error',
    signal,
  })
  if (!answer.ok || !answer.body) {
    await answer.body?.cancel()
    throw upstreamRefusal(answer.status, answer.headers.get('retry-after'))
  }
  return new Response(bounded(answer.body, done), { headers: { 'content-type': 'text/event-stream' } })
}

/** Ends what is too long. `done` is called when the answer is over, whoever ends it. */
function bounded(body: ReadableStream<Uint8Array>, done: () => void): ReadableStream<Uint8Array> {
  const reader = body.getReader()
  let bytes = 0
  return new ReadableStream({
    async pull(controller) {
      try {
        const { value } = await reader.read()
        bytes += value?.byteLength ?? 0
        if (value && bytes <= LONGEST_ANSWER) return controller.enqueue(value)
        done()
        controller.close()
        await reader.cancel()
      } catch (error) {
        done()
        throw error
      }
    },
    async cancel(reason) {
      done()
      await reader.cancel(reason)
    },
  })
}

function upstreamRefusal(status: number, retryAfter: string | null): Refusal {
  if (status === 429) return new Refusal(429, 'model_busy', Number(retryAfter ?? 1) * 1_000 || 1_000)
  // A wrong key, name or address is the app's affair: neither the box nor time mends it.
  if (status < 500 && status !== 408) return new Refusal(424, 'model_refused')
  return new Refusal(502, 'model_failed')
}
