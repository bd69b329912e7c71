/** What went wrong, for the end of a message of our own. */
export function toMessage(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}

/** Words of a tenant for people to read: with nothing in them that a terminal would obey, or that would begin a line. */
export function printable(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
