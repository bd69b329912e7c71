import { randomInt } from 'node:crypto'
import { TenantBoxError } from './errors.js'

/** Both ends included. */
export interface UidRange {
  readonly first: number
  readonly last: number
}

/** The uids that tenants have: none is given to two of them. */
export class Uids {
  /** Whose folder has which. */
  readonly #slugs = new Map<number, string>()

  /** Whether no other tenant has it. */
  mayHave(slug: string, uid: number): boolean {
    return (this.#slugs.get(uid) ?? slug) === slug
  }

  /** Notes one that a tenant has already. */
  keep(slug: string, uid: number): void {
    this.#slugs.set(uid, slug)
  }

  /** It went to nobody after all. */
  giveBack(uid: number): void {
    this.#slugs.delete(uid)
  }

  /**
   * At random, so that two pools on one machine hardly ever share one without knowing of each other.
   *
   * @throws TenantBoxError `INVALID_OPTION` when half of the range is taken
   */
  draw(slug: string, { first, last }: UidRange): number {
    if (this.#slugs.size > (last - first) / 2)
      throw new TenantBoxError('INVALID_OPTION', 'The uid range of the driver is nearly used up. Widen it.', {
        option: 'uids',
        expected: `a range of more than ${2 * this.#slugs.size} uids`,
        got: `${first}-${last}`,
      })
    for (;;) {
      const uid = randomInt(first, last + 1)
      if (this.#slugs.has(uid)) continue
      this.#slugs.set(uid, slug)
      return uid
    }
  }
}
