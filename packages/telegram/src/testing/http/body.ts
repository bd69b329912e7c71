import type { IncomingMessage } from 'node:http'
import { badRequest } from '../api-error.js'
import { isRecord, parseJson } from '../json.js'
import { parseMultipart } from './multipart.js'
import { Params, tooLarge } from './params.js'

/**
 * Reads the whole body. One longer than `limit` bytes is refused with 413; what is left of it is still taken in and thrown away,
 * since the sender would not see the answer on a connection that breaks.
 */
export function readBody(request: IncomingMessage, limit: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let chunks: Buffer[] = []
    let size = 0
    const take = (length: number) => {
      size += length
      if (size <= limit) return true
      chunks = []
      reject(tooLarge())
      return false
    }
    if (take(Number(request.headers['content-length'] ?? 0))) size = 0
    request.on('data', (chunk: Buffer) => {
      if (take(chunk.length)) chunks.push(chunk)
    })
    request.on('end', () => resolve(Buffer.concat(chunks)))
    request.on('error', reject)
  })
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
