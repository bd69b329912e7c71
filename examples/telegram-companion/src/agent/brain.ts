import type { AgentEvent, AgentMessage } from '@tenantbox/core'
import type { SessionEntry } from '@tenantbox/workspace'
import type { Notebook } from '../notebook/notebook.js'

/** One message to be answered, and what there is to answer it with. */
export interface Turn {
  readonly message: AgentMessage
  /** What was said before, oldest first. */
  readonly history: readonly SessionEntry[]
  readonly notebook: Notebook
  readonly now: Date
  /** Aborted when nobody wants the answer any more. */
  readonly signal: AbortSignal
}

/** What thinks. Yields the answer piece by piece, and does what it was told to in the notebook. */
export interface Brain {
  readonly name: string
  /** @throws BrainError when it cannot answer */
  answer(turn: Turn): AsyncIterable<AgentEvent>
}

/** Why there is no answer, in words for the user. */
export class BrainError extends Error {
  override readonly name = 'BrainError'
  /** Whether asking again may help. */
  readonly retryable: boolean

  constructor(message: string, options: { retryable: boolean; cause?: unknown }) {
    super(message, { cause: options.cause })
    this.retryable = options.retryable
  }
}
