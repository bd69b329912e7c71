/** What went wrong, for the end of a message of our own. */
export function toMessage(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}
