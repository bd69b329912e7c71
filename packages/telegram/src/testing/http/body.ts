import type { IncomingMessage } from 'node:http'
import { badRequest } from '../api-error.js'
import { isRecord, parseJson } from '../json.js'
import { parseMultipart } from './multipart.js'
import { Params, tooLarge } from './params.js'

/** @param limit In bytes; a longer body is refused with 413 and not read on. */
export async function readBody(request: IncomingMessage, limit: number): Promise<Buffer> {
  if (Number(request.headers['content-length'] ?? 0) > limit) throw tooLarge()
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request) {
    size += chunk.length
    if (size > limit) throw tooLarge()
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** The parameters of a request: those of the query, and over them those of the body. */
export async function parseParams(
  query: URLSearchParams,
  contentType: string,
  body: Uint8Array,
): Promise<Params> {
  const fromQuery = Object.fromEntries(query)
  if (body.length === 0) return new Params(fromQuery)
  const type = contentType.split(';', 1)[0]?.trim().toLowerCase()
  switch (type) {
    case 'application/json': {
      const parsed = parseJson(new TextDecoder().decode(body))
      if (!parsed || !isRecord(parsed.value)) throw badRequest("can't parse JSON object")
      return new Params({ ...fromQuery, ...parsed.value })
    }
    case 'application/x-www-form-urlencoded': {
      const form = new URLSearchParams(new TextDecoder().decode(body))
      return new Params({ ...fromQuery, ...Object.fromEntries(form) })
    }
    case 'multipart/form-data': {
      const { values, uploads } = await parseMultipart(contentType, body)
      return new Params({ ...fromQuery, ...values }, uploads)
    }
    default:
      return new Params(fromQuery)
  }
}
