import type { Bot, Context } from 'grammy'
import { BotError } from 'grammy'
import type { Update } from 'grammy/types'
import type { Warn } from '../common/warnings.js'

/** One more at the same time is dropped. */
const AT_ONCE = 100

/** Updates that belong to no tenant, such as inline queries: handled at once and once, and not kept. */
export class NobodysUpdates<C extends Context> {
  readonly #bot: Bot<C>
  readonly #warn: Warn
  readonly #running = new Set<Promise<void>>()

  constructor(bot: Bot<C>, warn: Warn) {
    this.#bot = bot
    this.#warn = warn
  }

  handle(update: Update): void {
    if (this.#running.size < AT_ONCE) {
      const running = this.#handle(update).finally(() => this.#running.delete(running))
      this.#running.add(running)
    } else
      this.#warn('UPDATE_DROPPED', `${AT_ONCE} updates of no tenant are being handled: one more was dropped.`)
  }

  /** Resolves when none is being handled. */
  async idle(): Promise<void> {
    await Promise.all(this.#running)
  }

  async #handle(update: Update): Promise<void> {
    try {
      await this.#bot.handleUpdate(update)
    } catch (error) {
      const cause = error instanceof BotError ? error.error : error
      this.#warn('UPDATE_DROPPED', 'The bot failed with an update of no tenant: see the cause.', { cause })
    }
  }
}
