import type { AgentEvent, AgentMessage } from '@tenantbox/core'
import { isWorkspaceError, type NewEntry, type Part, type SessionEntry } from '@tenantbox/workspace'
import type { Notebook } from '../notebook/notebook.js'
import { type Brain, BrainError } from './brain.js'
import { verbatim } from './markdown.js'
import { textOf } from './text-of.js'

export interface CompanionOptions {
  readonly notebook: Notebook
  readonly brain: Brain
  readonly now: () => Date
}

/** How far back the companion looks, in entries. A message is delivered again long before that many have followed. */
const HISTORY = 60

/** Answers one message after the other, and keeps the conversation in session.jsonl. */
export class Companion {
  readonly #notebook: Notebook
  readonly #brain: Brain
  readonly #now: () => Date

  constructor({ notebook, brain, now }: CompanionOptions) {
    this.#notebook = notebook
    this.#brain = brain
    this.#now = now
  }

  /** A message that was answered before, by its id, gets the same answer, and nothing is done twice. */
  async *answer(message: AgentMessage, signal: AbortSignal): AsyncGenerator<AgentEvent> {
    try {
      const history = await this.#history(message)
      const answered = history.find(
        (entry) => entry.role === 'assistant' && entry.turn === message.id && entry.state === 'complete',
      )
      if (answered) yield { type: 'text', text: textOf(answered) }
      else yield* this.#answerAnew(message, history, signal)
      yield { type: 'done' }
    } catch (error) {
      if (!signal.aborted) yield failure(error)
    }
  }

  async *#answerAnew(
    message: AgentMessage,
    history: readonly SessionEntry[],
    signal: AbortSignal,
  ): AsyncGenerator<AgentEvent> {
    const { session } = this.#notebook.workspace
    const { id: turn, thread } = message
    if (!history.some((entry) => entry.turn === turn)) await session.append(entryOf(message))
    const before = history.filter((entry) => entry.turn !== turn)
    let content = ''
    let state: 'complete' | 'failed' = 'failed'
    try {
      for await (const event of this.#reply(message, before, signal)) {
        if (event.type === 'text') content += event.text
        yield event
      }
      state = 'complete'
    } finally {
      const ended = state === 'failed' && signal.aborted ? 'cancelled' : state
      const model = this.#brain.name
      await session.append({ role: 'assistant', turn, ...inThread(thread), content, state: ended, model })
    }
  }

  async *#reply(
    message: AgentMessage,
    history: readonly SessionEntry[],
    signal: AbortSignal,
  ): AsyncGenerator<AgentEvent> {
    if (message.cause === 'schedule') yield* this.#remind(message)
    else yield* this.#brain.answer({ message, history, notebook: this.#notebook, now: this.#now(), signal })
  }

  async *#remind({ text, data }: AgentMessage): AsyncGenerator<AgentEvent> {
    yield { type: 'text', text: `⏰ ${verbatim(text)}` }
    if (typeof data === 'string') await this.#notebook.reminders.removeIfOver(data)
  }

  #history({ thread }: AgentMessage): Promise<readonly SessionEntry[]> {
    return this.#notebook.workspace.session.tail(HISTORY, inThread(thread))
  }
}

function entryOf({ id: turn, text, thread, cause, from, files = [] }: AgentMessage): NewEntry {
  const about = { turn, ...inThread(thread) }
  if (cause === 'schedule') return { role: 'system', kind: 'reminder', content: text, ...about }
  const attached = files.map(({ path, mediaType = 'application/octet-stream', name, bytes }): Part => {
    return { type: 'file', path, mediaType, ...(name && { name }), ...(bytes && { bytes }) }
  })
  const content = attached.length === 0 ? text : [{ type: 'text' as const, text }, ...attached]
  return { role: 'user', content, ...(from && { author: from }), ...about }
}

function inThread(thread: string | undefined): { thread?: string } {
  return thread === undefined ? {} : { thread }
}

function failure(error: unknown): AgentEvent {
  if (error instanceof BrainError)
    return { type: 'error', message: error.message, retryable: error.retryable }
  console.error(error)
  // Its message names a file and what to do, and never holds what stands in it.
  if (isWorkspaceError(error))
    return {
      type: 'error',
      message: `My files: ${error.message}`,
      retryable: isWorkspaceError(error, 'BUSY'),
    }
  return { type: 'error', message: 'Something went wrong here.', retryable: true }
}
