import type { IncomingMessage } from 'node:http'

const NAMES = ['127.0.0.1', 'localhost']

/**
 * Whether a request names this machine. One that came here by another name was led here: a foreign site can let its own name
 * point to 127.0.0.1.
 */
export function isForPage({ headers }: IncomingMessage, port: number): boolean {
  return NAMES.some((name) => headers.host === `${name}:${port}`)
}

/**
 * Whether a request was made by the page. Browsers say of every request that a foreign site makes where it comes from, and of
 * every POST.
 */
export function isFromPage({ headers, method }: IncomingMessage, port: number): boolean {
  const site = headers['sec-fetch-site']
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return false
  if (headers.origin === undefined) return method === 'GET'
  return NAMES.some((name) => headers.origin === `http://${name}:${port}`)
}
