import { GrammyError, HttpError, type Transformer } from 'grammy'

const HIDDEN = '<token>'
/** Errors contain errors; nobody nests them deeper in earnest. */
const DEEPEST = 8

/** Takes the bot's token, which stands in every URL of the Bot API, out of errors. */
export class TokenScrubber {
  readonly #token: string
  readonly #encoded: string

  constructor(token: string) {
    this.#token = token
    this.#encoded = encodeURIComponent(token)
  }

  text(text: string): string {
    return text.replaceAll(this.#token, HIDDEN).replaceAll(this.#encoded, HIDDEN)
  }

  /** The same error, without the token anywhere in it; nor is what was to be sent printed along with it. */
  error<E>(error: E): E {
    this.#clean(error, DEEPEST)
    return error
  }

  /** To be installed in an API, so that no call fails with an error that holds the token. */
  get transformer(): Transformer {
    return async (call, method, payload, signal) => {
      try {
        return await call(method, payload, signal)
      } catch (error) {
        throw this.error(error)
      }
    }
  }

  #clean(value: unknown, depth: number): void {
    if (typeof value !== 'object' || value === null || depth === 0) return
    if (!(value instanceof Error) && !Array.isArray(value)) return
    // A response, say: its address holds the token.
    if (value instanceof HttpError && !(value.error instanceof Error))
      Object.defineProperty(value, 'error', { value: undefined })
    if (value instanceof GrammyError) Object.defineProperty(value, 'payload', { enumerable: false })
    for (const key of Object.getOwnPropertyNames(value)) {
      const inner: unknown = Reflect.get(value, key)
      if (typeof inner === 'string') {
        const clean = this.text(inner)
        if (clean !== inner)
          Object.defineProperty(value, key, { value: clean, writable: true, configurable: true })
      } else this.#clean(inner, depth - 1)
    }
  }
}
