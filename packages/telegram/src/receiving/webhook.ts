import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Update } from 'grammy/types'
import { invalidOption } from '../common/option-values.js'

const SECRET_HEADER = 'x-telegram-bot-api-secret-token'
const SECRET = /^[A-Za-z0-9_-]{1,256}$/
/** Far more than any update has. */
const MOST_BYTES = 1024 * 1024

export interface Webhook {
  /** For Node's `http.createServer`. Never rejects. */
  node(request: IncomingMessage, response: ServerResponse): Promise<void>
  /** For whatever serves by the Fetch API. Never rejects. */
  fetch(request: Request): Promise<Response>
}

interface Asked {
  readonly method: string
  readonly secret: string | undefined
  readonly body: AsyncIterable<Uint8Array>
}

/**
 * Answers Telegram's requests to a webhook: 200 once the update is durable. With what is not Telegram's, or not an
 * update, nothing is done.
 *
 * @param take resolves when the update is durable
 * @throws TenantBoxError `INVALID_OPTION`
 */
export function createWebhook(
  { secretToken }: { secretToken: string },
  take: (update: Update) => Promise<void>,
): Webhook {
  if (typeof secretToken !== 'string' || !SECRET.test(secretToken))
    throw invalidOption(
      'secretToken',
      '1 to 256 of A-Z, a-z, 0-9, _ and -, as given to setWebhook',
      typeof secretToken,
    )
  const expected = digest(secretToken)

  const answer = async ({ method, secret, body }: Asked): Promise<number> => {
    if (method !== 'POST') return 405
    if (secret === undefined || !timingSafeEqual(digest(secret), expected)) return 401
    const text = await readText(body)
    if (text === undefined) return 413
    const update = parseUpdate(text)
    if (!update) return 400
    try {
      await take(update)
      return 200
    } catch {
      // The gateway has said so; Telegram sends it again.
      return 503
    }
  }

  return {
    async node(request, response) {
      const secret = request.headers[SECRET_HEADER]
      const status = await answer({
        method: request.method ?? '',
        secret: typeof secret === 'string' ? secret : undefined,
        body: request,
      }).catch(() => 400)
      // What is not read of the body is not waited for.
      response.writeHead(status, status === 200 ? {} : { connection: 'close' }).end()
    },
    async fetch({ method, headers, body }) {
      const secret = headers.get(SECRET_HEADER) ?? undefined
      const status = await answer({ method, secret, body: body ?? new Blob([]).stream() }).catch(() => 400)
      return new Response(null, { status })
    },
  }
}

/** Of equal length, whatever was sent: how long comparing takes tells nothing. */
function digest(secret: string): Buffer {
  return createHash('sha256').update(secret).digest()
}

/** Undefined when it is too long. */
async function readText(body: AsyncIterable<Uint8Array>): Promise<string | undefined> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of body) {
    bytes += chunk.byteLength
    if (bytes > MOST_BYTES) return undefined
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function parseUpdate(text: string): Update | undefined {
  try {
    const value: unknown = JSON.parse(text)
    const isUpdate =
      typeof value === 'object' &&
      value !== null &&
      'update_id' in value &&
      Number.isSafeInteger(value.update_id)
    return isUpdate ? (value as Update) : undefined
  } catch {
    return undefined
  }
}
