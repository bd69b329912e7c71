import type { AgentFile } from '@tenantbox/core'

/** What is to be shown, in order: a text goes on until a file ends it. */
export type Said = { readonly text: string } | { readonly file: AgentFile }

/** More than so many UTF-16 units at once, about ten messages, nobody reads in a chat. */
export const LONGEST_ANSWER = 40_000

/** Cuts the texts and captions that are said at once where they become too much. */
export class Cut {
  readonly #onCut: () => void
  #left = LONGEST_ANSWER

  /** @param onCut called once */
  constructor(onCut: () => void) {
    this.#onCut = onCut
  }

  /** There is no room for more. */
  get isReached(): boolean {
    return this.#left < 0
  }

  text(text: string): string {
    const room = this.#left
    this.#left -= text.length
    if (text.length <= room) return text
    if (room < 0) return ''
    this.#onCut()
    return `${text.slice(0, room).replace(/[\uD800-\uDBFF]$/, '')}…`
  }

  captioned({ caption, ...file }: AgentFile): AgentFile {
    return caption === undefined ? file : { ...file, caption: this.text(caption) }
  }
}
