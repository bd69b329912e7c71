import { posix } from 'node:path'
import filenamify from 'filenamify'

/**
 * What the files and folders of one folder are called in a zip. Their owner may have called them anything, such as
 * `..\..\evil.exe` or `C:evil`, and who unpacks them may do so where that means something. Two that would be one there,
 * as where `a` and `A` are the same, are told apart.
 */
export class ZipNames {
  /** By the name as the least particular system sees it: how many have it. */
  readonly #taken = new Map<string, number>()

  nameFor(name: string): string {
    const safe = filenamify(name, { replacement: '_', maxLength: 255 })
    let number = this.#taken.get(keyOf(safe)) ?? 0
    let unique = safe
    while (this.#taken.has(keyOf(unique))) unique = numbered(safe, ++number + 1)
    this.#taken.set(keyOf(safe), number)
    this.#taken.set(keyOf(unique), 0)
    return unique
  }
}

function numbered(name: string, number: number): string {
  const { name: stem, ext } = posix.parse(name)
  return `${stem} (${number})${ext}`
}

function keyOf(name: string): string {
  return name.normalize('NFKC').toLowerCase()
}
