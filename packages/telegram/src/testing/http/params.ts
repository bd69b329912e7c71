import { ApiError, badRequest } from '../api-error.js'
import { isRecord, parseJson } from '../json.js'

/** A file that came with a request. */
export interface Upload {
  readonly name: string
  readonly type: string
  readonly bytes: Uint8Array
}

/**
 * The parameters of a call. However they came (query, JSON, urlencoded or multipart), Telegram reads them the same: numbers may
 * be strings and objects may be JSON texts.
 */
export class Params {
  constructor(
    readonly values: Readonly<Record<string, unknown>>,
    readonly uploads: ReadonlyMap<string, Upload> = new Map(),
  ) {}

  string(name: string): string | undefined {
    const value = this.values[name]
    if (value === undefined || value === null) return undefined
    if (typeof value === 'number' || typeof value === 'boolean') return String(value)
    if (typeof value !== 'string') return JSON.stringify(value)
    if (!value.isWellFormed()) throw badRequest('strings must be encoded in UTF-8')
    return value
  }

  integer(name: string): number | undefined {
    const text = this.string(name)
    if (text === undefined || !/^-?\d+$/.test(text)) return undefined
    return Number(text)
  }

  boolean(name: string): boolean {
    return ['true', '1', 'yes'].includes(this.string(name)?.toLowerCase() ?? '')
  }

  /** An object or array, also when it came as a JSON text. */
  json(name: string, whatItIs: string): unknown {
    const value = this.values[name]
    if (value === undefined || value === null || value === '') return undefined
    if (typeof value !== 'string') return value
    const parsed = parseJson(value)
    if (!parsed) throw badRequest(`can't parse ${whatItIs} JSON object`)
    return parsed.value
  }

  object(name: string, whatItIs: string): Record<string, unknown> | undefined {
    const value = this.json(name, whatItIs)
    if (value === undefined) return undefined
    if (!isRecord(value)) throw badRequest(`object expected as ${whatItIs}`)
    return value
  }

  array(name: string, whatItIs: string): unknown[] | undefined {
    const value = this.json(name, whatItIs)
    if (value === undefined) return undefined
    if (!Array.isArray(value)) throw badRequest(`array expected as ${whatItIs}`)
    return value
  }

  /** The upload that a media parameter names: `attach://name`, or a part of that name. */
  upload(name: string): Upload | undefined {
    const value = this.values[name]
    if (typeof value === 'string' && value.startsWith('attach://'))
      return this.uploads.get(value.slice('attach://'.length))
    return this.uploads.get(name)
  }

  chatId(): number {
    const text = this.string('chat_id')
    if (text === undefined || text === '') throw badRequest('chat_id is empty')
    const id = this.integer('chat_id')
    if (id === undefined) throw badRequest('chat not found')
    return id
  }

  messageId(): number {
    const id = this.integer('message_id')
    if (id === undefined || id <= 0) throw badRequest('message identifier is not specified')
    return id
  }
}

export function tooLarge(): ApiError {
  return new ApiError(413, 'Request Entity Too Large')
}
