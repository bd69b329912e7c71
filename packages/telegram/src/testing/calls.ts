import type { ResponseParameters } from 'grammy/types'

export type CallOutcome =
  | { readonly ok: true; readonly result: unknown }
  | {
      readonly ok: false
      readonly code: number
      readonly description: string
      readonly parameters?: ResponseParameters
    }

/** One call of a bot, as it was answered (or would have been, had the answer not been lost). */
export interface ApiCall {
  /** As the bot wrote it, such as `sendMessage`. */
  readonly method: string
  readonly chat?: number
  /** Without the files. */
  readonly params: Readonly<Record<string, unknown>>
  /** Milliseconds since the epoch, by the server's clock. */
  readonly at: number
  readonly outcome: CallOutcome
}

export function describeCalls(calls: readonly ApiCall[]): string {
  const last = calls.slice(-5).map(({ method, outcome }) => {
    return outcome.ok ? method : `${method} (${outcome.code} ${outcome.description})`
  })
  return last.length === 0 ? 'The bot has called nothing.' : `The bot's last calls: ${last.join(', ')}.`
}
