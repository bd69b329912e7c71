import type { IncomingMessage, ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'
import type { BotApiServer } from '@tenantbox/telegram/testing'

/** What the page posts in someone's name. */
export type Posting =
  | { readonly type: 'message'; readonly chat: number; readonly text: string }
  | { readonly type: 'press'; readonly chat: number; readonly message: number; readonly data: string }

/** In bytes. */
const LARGEST = 64 * 1024
/** In UTF-16 code units: Telegram's apps send no more at once. */
const LONGEST_TEXT = 4096

/** @returns undefined when it is not of the form */
export async function readPosting(request: IncomingMessage): Promise<Posting | undefined> {
  // Browsers let no foreign site send JSON without asking first.
  if (request.headers['content-type'] !== 'application/json') return undefined
  if (!(Number(request.headers['content-length']) <= LARGEST)) return undefined
  return postingOf(parse(await text(request)))
}

function postingOf(raw: unknown): Posting | undefined {
  if (typeof raw !== 'object' || raw === null) return undefined
  const { type, chat, text: said, message, data }: Record<string, unknown> = { ...raw }
  if (typeof chat !== 'number') return undefined
  if (type === 'message' && typeof said === 'string' && said.trim() !== '' && said.length <= LONGEST_TEXT)
    return { type, chat, text: said }
  if (type === 'press' && typeof message === 'number' && typeof data === 'string')
    return { type, chat, message, data }
  return undefined
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

/** Answers `/files/<file id>` with a file that is saved, never shown: it may be anything. */
export function attached(
  server: BotApiServer,
  path: string,
): ((response: ServerResponse) => void) | undefined {
  const [, id = ''] = /^\/files\/([\w-]+)$/.exec(path) ?? []
  const file = server.file(id)
  if (!file) return undefined
  return (response) => {
    const name = encodeURIComponent(file.name)
    response.writeHead(200, {
      'content-type': 'application/octet-stream',
      'content-disposition': `attachment; filename*=UTF-8''${name}`,
      'content-length': file.bytes.length,
      'content-security-policy': "default-src 'none'; sandbox",
      'x-content-type-options': 'nosniff',
    })
    response.end(file.bytes)
  }
}
