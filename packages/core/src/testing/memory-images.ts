import { type FullMemoryImage, fillImage, type MemoryImage } from './memory-image.js'

interface Build {
  readonly id: string
  readonly image: FullMemoryImage
}

/** The images of a `MemoryEngine`. */
export class MemoryImages {
  readonly #builds = new Map<string, Build>()
  readonly #fallback: FullMemoryImage | undefined
  #built = 0

  /** @param fallback What is in every image that was not built; without it there is none such. */
  constructor(fallback: MemoryImage | undefined) {
    this.#fallback = fallback && fillImage(fallback)
  }

  /** Makes an image, or another one under a name that is taken. */
  build(name: string, image: MemoryImage): void {
    this.#builds.set(name, { id: `${name}@${++this.#built}`, image: fillImage(image) })
  }

  find(name: string): Build | undefined {
    return this.#builds.get(name) ?? (this.#fallback && { id: name, image: this.#fallback })
  }
}
