import type { Formatted } from '../text/formatted.js'
import type { Chat, Urgency } from './chat.js'
import type { Place } from './place.js'
import { refusalOf } from './refusal.js'
import type { Said } from './said.js'
import type { Answers, SentTurn } from './tenant-record.js'

/** A message as it stands in the chat; what an earlier attempt has sent is known by its id only. */
export interface Sent {
  id: number
  shown: Formatted | undefined
}

/**
 * What one turn sends to its chat. A redelivered turn edits the messages that the attempt before has left, instead of
 * sending new ones, and does not send a file twice.
 */
export class Outgoing {
  readonly chat: Chat
  readonly #turn: string
  readonly #note: (sent: SentTurn) => void
  readonly #reusable: number[]
  readonly #messages: Sent[] = []
  readonly #filesBefore: string[]
  readonly #files: string[] = []
  readonly #heard = new Map<string, readonly Said[]>()
  #answers: Answers
  #isApologized: boolean

  /** @param note where it is remembered what has been sent */
  constructor(chat: Chat, turn: string, before: SentTurn | undefined, note: (sent: SentTurn) => void) {
    const here = before && isHere(before.place, chat.place) ? before : undefined
    this.chat = chat
    this.#turn = turn
    this.#note = note
    this.#reusable = [...(here?.messages ?? [])]
    this.#filesBefore = [...(here?.files ?? [])]
    this.#answers = before?.answers ?? {}
    this.#isApologized = here?.apologized ?? false
  }

  /** What the agent has said to a message at an attempt before, in full. */
  answerTo(message: string): readonly Said[] | undefined {
    return Object.hasOwn(this.#answers, message) ? this.#answers[message] : undefined
  }

  /** The agent has said all of this: should the turn fail, its next attempt need not ask again. */
  keep(message: string, said: readonly Said[]): void {
    this.#heard.set(message, said)
  }

  async post(content: Formatted, urgency: Urgency): Promise<Sent> {
    const reused = this.#reusable[0]
    const id =
      reused === undefined
        ? await this.chat.send(content, urgency)
        : await this.chat.edit(reused, content, urgency)
    if (reused !== undefined) this.#reusable.shift()
    const sent = { id, shown: content }
    this.#messages.push(sent)
    if (id !== reused) this.#remember()
    return sent
  }

  async change(sent: Sent, content: Formatted, urgency: Urgency): Promise<void> {
    const { id } = sent
    sent.id = await this.chat.edit(id, content, urgency)
    sent.shown = content
    if (sent.id !== id) this.#remember()
  }

  /** Takes a message away that is not needed after all. */
  async withdraw(sent: Sent): Promise<void> {
    this.#messages.splice(this.#messages.indexOf(sent), 1)
    await this.#delete(sent.id)
    this.#remember()
  }

  /** Sends a file, unless the attempt before has. */
  async file(path: string, send: () => Promise<void>): Promise<void> {
    const before = this.#filesBefore.indexOf(path)
    if (before === -1) await send()
    else this.#filesBefore.splice(before, 1)
    this.#files.push(path)
    this.#remember()
  }

  /** Says why there is no answer, unless an attempt before has. */
  async apologize(content: Formatted): Promise<void> {
    if (this.#isApologized) return
    await this.chat.send(content, 'final')
    this.#isApologized = true
    this.#remember()
  }

  /** The turn has said all: what is left of an attempt before it goes. */
  async finish(): Promise<void> {
    const hasAnswers = Object.keys(this.#answers).length > 0
    if (this.#reusable.length === 0 && !hasAnswers) return
    for (const message of this.#reusable.splice(0)) await this.#delete(message)
    this.#answers = {}
    this.#remember()
  }

  /** The turn has failed, and may be tried again. */
  interrupted(): void {
    if (this.#heard.size === 0) return
    this.#answers = { ...this.#answers, ...Object.fromEntries(this.#heard) }
    this.#remember()
  }

  async #delete(message: number): Promise<void> {
    try {
      await this.chat.delete(message)
    } catch (error) {
      // What cannot be taken away any more, stays.
      if (refusalOf(error) === undefined) throw error
    }
  }

  #remember(): void {
    this.#note({
      id: this.#turn,
      place: this.chat.place,
      messages: [...this.#messages.map(({ id }) => id), ...this.#reusable],
      files: [...this.#files, ...this.#filesBefore],
      ...(Object.keys(this.#answers).length > 0 ? { answers: this.#answers } : {}),
      ...(this.#isApologized ? { apologized: true } : {}),
    })
  }
}

function isHere(one: Place, other: Place): boolean {
  return one.chat === other.chat
}
