import type { ResponseParameters } from 'grammy/types'

/** A call that Telegram refuses, as it refuses it. */
export class ApiError extends Error {
  override readonly name = 'ApiError'

  constructor(
    readonly code: number,
    readonly description: string,
    readonly parameters?: ResponseParameters,
  ) {
    super(description)
  }
}

export function badRequest(what: string): ApiError {
  return new ApiError(400, `Bad Request: ${what}`)
}

export function forbidden(what: string): ApiError {
  return new ApiError(403, `Forbidden: ${what}`)
}

export function conflict(what: string): ApiError {
  return new ApiError(409, `Conflict: ${what}`)
}

/** @param retryAfter Whole seconds. */
export function tooManyRequests(retryAfter: number): ApiError {
  return new ApiError(429, `Too Many Requests: retry after ${retryAfter}`, { retry_after: retryAfter })
}
