import { GrammyError, type Transformer } from 'grammy'
import { withTexts } from './with-texts.js'

const HIDDEN = '<token>'

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

  /** The same error or, if the token is anywhere in it, a copy without; what was thrown stays as it is. */
  error<E>(error: E): E {
    return withTexts(error, (text) => this.text(text))
  }

  /** To be installed in an API, so that no call fails with an error that holds the token, or prints what was to be sent. */
  get transformer(): Transformer {
    return async (call, method, payload, signal) => {
      try {
        return await call(method, payload, signal)
      } catch (error) {
        if (error instanceof GrammyError) Object.defineProperty(error, 'payload', { enumerable: false })
        throw this.error(error)
      }
    }
  }
}
