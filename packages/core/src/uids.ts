import { randomInt } from 'node:crypto'
import { TenantBoxError } from './errors.js'

/** Both ends included. */
export interface UidRange {
  readonly first: number
  readonly last: number
}

/** The uids that tenants have: none is given to two of them. */
export class Uids {
  readonly #taken = new Set<number>()

  /** Notes one that a tenant has already. */
  keep(uid: number): void {
    this.#taken.add(uid)
  }

  /** It went to nobody after all. */
  giveBack(uid: number): void {
    this.#taken.delete(uid)
  }

  /**
   * At random, so that two pools on one machine hardly ever share one without knowing of each other.
   *
   * @throws TenantBoxError `INVALID_OPTION` when half of the range is taken
   */
  draw({ first, last }: UidRange): number {
    if (this.#taken.size > (last - first) / 2)
      throw new TenantBoxError('INVALID_OPTION', 'The uid range of the driver is nearly used up. Widen it.', {
        option: 'uids',
        expected: `a range of more than ${2 * this.#taken.size} uids`,
        got: `${first}-${last}`,
      })
    for (;;) {
      const uid = randomInt(first, last + 1)
      if (this.#taken.has(uid)) continue
      this.#taken.add(uid)
      return uid
    }
  }
}
