import { ApiError, tooManyRequests } from './api-error.js'
import type { ApiCall } from './calls.js'

/** What goes wrong with a call. */
export type Fault =
  /** Nothing is done; the bot gets this error, such as 500 or 403. */
  | { readonly type: 'error'; readonly code: number; readonly description?: string }
  /** Nothing is done; the bot gets 429. `retryAfter` is in seconds. */
  | { readonly type: 'flood'; readonly retryAfter: number }
  /** Nothing is done; the bot gets a proxy's error page. */
  | { readonly type: 'bad-gateway' }
  /** Nothing is done; the connection breaks. */
  | { readonly type: 'drop' }
  /** All is done, then the connection breaks: the bot never learns that it worked. */
  | { readonly type: 'lose-answer' }
  /** All is done `ms` milliseconds late. */
  | { readonly type: 'delay'; readonly ms: number }
  /** Nothing is done, and no answer comes. */
  | { readonly type: 'hang' }

export interface FaultScope {
  /** Such as `sendMessage`. @default all methods */
  readonly method?: string
  /** @default all chats, and calls that are about none */
  readonly chat?: number
  /** How many calls; `Infinity` for all of them until it is taken back. @default 1 */
  readonly times?: number
}

interface Planned {
  readonly fault: Fault
  readonly scope: FaultScope
  left: number
}

/** Faults on demand. */
export class Faults {
  readonly #planned = new Set<Planned>()

  /** How many are planned that have not all been met. */
  get planned(): number {
    return this.#planned.size
  }

  /** @returns takes back what is left of it */
  plan(fault: Fault, scope: FaultScope): () => void {
    const planned = { fault, scope, left: scope.times ?? 1 }
    this.#planned.add(planned)
    return () => this.#planned.delete(planned)
  }

  /** The fault that this call meets, which then counts as met. */
  meet({ method, chat }: Pick<ApiCall, 'method' | 'chat'>): Fault | undefined {
    for (const planned of this.#planned) {
      const { scope } = planned
      if (scope.method !== undefined && scope.method.toLowerCase() !== method.toLowerCase()) continue
      if (scope.chat !== undefined && scope.chat !== chat) continue
      planned.left--
      if (planned.left <= 0) this.#planned.delete(planned)
      return planned.fault
    }
    return undefined
  }
}

/** What the bot is told instead of an answer. */
export function refusal(fault: Fault | undefined): ApiError | undefined {
  switch (fault?.type) {
    case 'error':
      return new ApiError(fault.code, fault.description ?? 'Internal Server Error')
    case 'flood':
      return tooManyRequests(fault.retryAfter)
    default:
      return undefined
  }
}
