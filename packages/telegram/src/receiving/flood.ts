import type { Api, Context } from 'grammy'
import type { Warn } from '../common/warnings.js'

/** Tells users, once, that they have written more than can be kept for them. */
export class Flood<C extends Context> {
  readonly #api: Api
  readonly #warn: Warn
  readonly #onFailure: (error: unknown, ctx: C) => string | undefined
  readonly #told = new Set<string>()

  constructor(api: Api, warn: Warn, onFailure: (error: unknown, ctx: C) => string | undefined) {
    this.#api = api
    this.#warn = warn
    this.#onFailure = onFailure
  }

  /** A message was dropped. */
  met(tenant: string, ctx: C, error: unknown): void {
    if (this.#told.has(tenant)) return
    this.#told.add(tenant)
    const what = `Tenant ${JSON.stringify(tenant)} has too many messages waiting: further ones are dropped until there is room.`
    this.#warn('FLOODED', what, { tenant, cause: error })
    this.#tell(ctx, error).catch((cause: unknown) => this.#warn('NOT_DELIVERED', what, { tenant, cause }))
  }

  /** There is room again. */
  over(tenant: string): void {
    this.#told.delete(tenant)
  }

  async #tell(ctx: C, error: unknown): Promise<void> {
    const text = this.#onFailure(error, ctx)
    if (text && ctx.chat) await this.#api.sendMessage(ctx.chat.id, text)
  }
}
