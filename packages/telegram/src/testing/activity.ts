import type { ApiCall } from './calls.js'
import type { Fault } from './faults.js'
import type { ChatMessage } from './state/chat-message.js'
import type { WebhookDelivery } from './updates/delivery.js'

/** What has just happened in a chat or at the API. */
export type ServerEvent =
  | { readonly type: 'call'; readonly call: ApiCall }
  | {
      readonly type: 'message' | 'edit' | 'delete' | 'reaction'
      readonly chat: number
      readonly message: ChatMessage
    }
  | { readonly type: 'action'; readonly chat: number; readonly action: string }
  | { readonly type: 'draft'; readonly chat: number; readonly text: string }
  /** How the chat stands to the bot has changed. */
  | { readonly type: 'chat'; readonly chat: number }
  /** There are new updates for the bot. */
  | { readonly type: 'updates' }
  /** The app has taken an update from the webhook, or has not. */
  | { readonly type: 'delivery'; readonly delivery: WebhookDelivery }
  /** A call has met a planned fault. */
  | { readonly type: 'fault'; readonly fault: Fault }
  /** A bot has begun to wait for updates. */
  | { readonly type: 'poll' }

export interface UntilOptions {
  readonly signal?: AbortSignal
  /** In milliseconds of real time. @default 10_000 */
  readonly timeout?: number
  /** What is waited for, for the error's message. */
  readonly what?: string
}

/** Tells whoever listens what happens, and lets tests wait for it. */
export class Activity {
  readonly #listeners = new Set<(event: ServerEvent) => void>()

  subscribe(listener: (event: ServerEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  tell(event: ServerEvent): void {
    for (const listener of [...this.#listeners]) listener(event)
  }

  /** Looks now and after everything that happens, until `look` finds something. */
  until<T>(
    look: () => T | undefined | null | false,
    options: UntilOptions,
    describe: () => string,
  ): Promise<T> {
    const timeout = options.timeout ?? 10_000
    const { signal } = options
    return new Promise<T>((resolve, reject) => {
      const end = (settle: () => void) => {
        stop()
        clearTimeout(timer)
        signal?.removeEventListener('abort', aborted)
        settle()
      }
      const check = () => {
        try {
          const found = look()
          if (found !== undefined && found !== null && found !== false) end(() => resolve(found))
        } catch (error) {
          end(() => reject(error))
        }
      }
      const aborted = () => end(() => reject(signal?.reason))
      const stop = this.subscribe(check)
      const timer = setTimeout(() => {
        const what = options.what ?? 'what was waited for'
        end(() => reject(new Error(`${what} did not happen within ${timeout} ms. ${describe()}`)))
      }, timeout)
      if (signal?.aborted) aborted()
      else {
        signal?.addEventListener('abort', aborted, { once: true })
        check()
      }
    })
  }
}
