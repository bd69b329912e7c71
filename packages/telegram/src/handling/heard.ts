import type { AgentFile } from '@tenantbox/core'
import { Cut, type Said } from '../sending/said.js'

/** Of one answer. */
export const MOST_FILES = 100
/** UTF-16 units of all their paths, names and types. */
const LONGEST_NAMES = 100_000

type State =
  | { readonly name: 'going on' | 'whole' }
  /** What it ended with instead. */
  | { readonly name: 'broken'; readonly error: unknown }

/**
 * What an agent has said so far, heard as fast as it speaks and read as fast as it can be shown. Bounded: it holds no more
 * than is shown of one answer.
 */
export class Heard implements AsyncIterable<Said> {
  readonly #said: Said[] = []
  readonly #cut: Cut
  readonly #onCut: () => void
  #files = 0
  #names = 0
  #state: State = { name: 'going on' }
  #changed = (): void => undefined

  /** @param onCut too much was said: the rest is not heard */
  constructor(onCut: () => void) {
    this.#cut = new Cut(onCut)
    this.#onCut = onCut
  }

  /** All of it, if it came to its end. */
  get whole(): readonly Said[] | undefined {
    return this.#state.name === 'whole' ? this.#said : undefined
  }

  /** It is cut: what comes is not heard any more. */
  get isFull(): boolean {
    return this.#cut.isReached || this.#hasTooManyFiles
  }

  text(text: string): void {
    this.#add({ text: this.#cut.text(text) })
  }

  file(file: AgentFile): void {
    this.#files++
    this.#names += file.path.length + (file.name?.length ?? 0) + (file.mediaType?.length ?? 0)
    if (this.#hasTooManyFiles) this.#onCut()
    else this.#add({ file: this.#cut.captioned(file) })
  }

  end(): void {
    this.#become({ name: 'whole' })
  }

  fail(error: unknown): void {
    this.#become({ name: 'broken', error })
  }

  /** For one reader. Throws what it ended with once all that was said before has been read. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Said> {
    for (let at = 0; ; ) {
      const said = this.#said[at]
      if (said) {
        yield said
        at++
      } else if (this.#state.name === 'whole') return
      else if (this.#state.name === 'broken') throw this.#state.error
      else
        await new Promise<void>((resolve) => {
          this.#changed = resolve
        })
    }
  }

  get #hasTooManyFiles(): boolean {
    return this.#files > MOST_FILES || this.#names > LONGEST_NAMES
  }

  #add(said: Said): void {
    this.#said.push(said)
    this.#changed()
  }

  #become(state: State): void {
    this.#state = state
    this.#changed()
  }
}
