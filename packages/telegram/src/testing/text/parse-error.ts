import { type ApiError, badRequest } from '../api-error.js'

export function cannotParse(why: string): ApiError {
  return badRequest(`can't parse entities: ${why}`)
}

/** Telegram counts in bytes of UTF-8 when it tells where an error is. */
export function byteOffset(text: string, index: number): number {
  return Buffer.byteLength(text.slice(0, index))
}
