import { randomInt } from 'node:crypto'
import type { CancelTimer, Clock } from '@tenantbox/core'
import { type Formatted, isBlank, isSame } from '../text/formatted.js'
import { renderMarkdown } from '../text/markdown.js'
import { split } from '../text/split.js'
import type { Urgency } from './chat.js'
import type { Outgoing, Sent } from './outgoing.js'
import type { Pace } from './pace.js'
import { refusalOf } from './refusal.js'

export interface LiveTextOptions {
  readonly outgoing: Outgoing
  readonly pace: Pace
  readonly clock: Clock
  /** `edit`: by editing messages; `draft`: by Telegram's previews; `false`: not before it is complete. */
  readonly stream: 'edit' | 'draft' | false
  readonly everyMs: number
}

/**
 * A text that is shown while it grows: at most one call at a time, and a pause between two. What a call in between
 * fails with is left to the next one; only that the chat is gone ends it.
 */
export class LiveText {
  readonly #options: LiveTextOptions
  readonly #sent: Sent[] = []
  readonly #draft = randomInt(1, 2 ** 31)
  #text = ''
  #stream: 'edit' | 'draft' | false
  #showing: Promise<void> | undefined
  #cancelTimer: CancelTimer | undefined
  #changed = false
  #failure: { readonly error: unknown } | undefined

  constructor(options: LiveTextOptions) {
    this.#options = options
    this.#stream = options.stream
  }

  /** @throws what showing it has failed with for good */
  append(text: string): void {
    if (this.#failure) throw this.#failure.error
    this.#text += text
    this.#changed = true
    this.#arm()
  }

  /** Shows all of it. */
  async finish(): Promise<void> {
    await this.stop()
    if (this.#failure) throw this.#failure.error
    await this.#show('final')
  }

  /** Leaves it as it is. */
  async stop(): Promise<void> {
    this.#cancelTimer?.()
    this.#stream = false
    await this.#showing
  }

  #arm(): void {
    if (this.#stream === false || this.#cancelTimer || this.#showing || !this.#changed) return
    const { clock, everyMs } = this.#options
    this.#cancelTimer = clock.after(everyMs, () => {
      this.#cancelTimer = undefined
      this.#showing = this.#showInPassing().finally(() => {
        this.#showing = undefined
        this.#arm()
      })
    })
  }

  /** Never rejects. */
  async #showInPassing(): Promise<void> {
    this.#changed = false
    try {
      if (this.#stream === 'draft') await this.#showDraft()
      else await this.#show('passing')
    } catch (error) {
      const refusal = refusalOf(error)
      if (!refusal) this.#failure = { error }
      else if (refusal.kind === 'flood') this.#stream = false
      else if (this.#stream === 'draft') this.#stream = 'edit'
    }
  }

  async #showDraft(): Promise<void> {
    const last = (await this.#parts()).at(-1)
    if (last) await this.#options.outgoing.chat.draft(this.#draft, last)
  }

  async #show(urgency: Urgency): Promise<void> {
    const { outgoing } = this.#options
    const parts = await this.#parts()
    for (const [index, part] of parts.entries()) {
      const sent = this.#sent[index]
      if (!sent) this.#sent.push(await outgoing.post(part, urgency))
      else if (!sent.shown || !isSame(sent.shown, part)) await outgoing.change(sent, part, urgency)
    }
    for (const surplus of this.#sent.splice(parts.length)) await outgoing.withdraw(surplus)
  }

  #parts(): Promise<Formatted[]> {
    const { pace, outgoing } = this.#options
    const { tenant, signal } = outgoing.chat
    return pace.run(tenant, signal, () => split(renderMarkdown(this.#text)).filter((part) => !isBlank(part)))
  }
}
