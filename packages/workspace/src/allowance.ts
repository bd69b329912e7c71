import { WorkspaceError } from './errors.js'
import { SESSION_FILE } from './session-file.js'

/** What one operation passes over, in bytes. */
const RUBBISH_LIMIT = 128 * 1024 * 1024
/** What a line that is no entry costs beyond its bytes: it takes longer to refuse than to read. */
const REFUSAL = 64
const LONGEST_CHARACTER = 3

/**
 * How much one operation reads of a session beyond its entries. A tenant can have gigabytes there that are none, and of
 * zeros they cost it nothing: so what is read is charged for, and what turns out to be an entry is given back.
 */
export class Allowance {
  #left = RUBBISH_LIMIT

  /** @throws WorkspaceError `INVALID_FILE` when there is too little left */
  charge(bytes: number): void {
    this.#left -= bytes
    if (this.#left >= 0) return
    const reason = `holds more than ${RUBBISH_LIMIT} bytes that are no entries`
    throw new WorkspaceError(
      'INVALID_FILE',
      `${SESSION_FILE} ${reason}, so the rest is not looked at. It can be appended to; to read on, remove them.`,
      { path: SESSION_FILE, reason },
    )
  }

  /** Begins anew, for an operation without an end. */
  renew(): void {
    this.#left = RUBBISH_LIMIT
  }

  /** A line that was charged for is no entry. */
  refuse(): void {
    this.charge(REFUSAL)
  }

  /** A line that was charged for is an entry. At least what it takes in UTF-8 is given back. */
  giveBack(text: string): void {
    this.#left = Math.min(RUBBISH_LIMIT, this.#left + LONGEST_CHARACTER * text.length + 1)
  }
}
