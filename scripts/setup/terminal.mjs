/** A failure that its message explains: no stack is printed. */
export class SetupError extends Error {}

/** @param {string} text one line on what is being done */
export function step(text) {
  console.log(`› ${text}`)
}

/** @param {unknown} error */
export function printFailure(error) {
  console.error(error instanceof SetupError ? `\n✗ ${error.message}` : error)
}
