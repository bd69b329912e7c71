/** What went wrong, for the end of a message of our own. */
export function toMessage(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}

const LONGEST_LINE = 1024

/** A line that a tenant wrote: cut to 1 KiB, with nothing in it that a terminal would obey. */
export function printable(line: string): string {
  return line
    .slice(0, LONGEST_LINE)
    .replace(
      /[\p{Cc}\u2028\u2029]/gu,
      (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
    )
}
