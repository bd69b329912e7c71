import type { CancelTimer, Clock } from '@tenantbox/core'
import type { Chat } from './chat.js'

/** Telegram shows it for five seconds. */
const EVERY_MS = 4_500
const LONGEST_MS = 5 * 60_000

/** Shows "typing…" until it is stopped, but not for ever. Returns what stops it. */
export function showTyping(chat: Chat, clock: Clock): () => void {
  const until = clock.monotonic() + LONGEST_MS
  let stopped = false
  const show = async (): Promise<void> => {
    // It is a courtesy: whatever is wrong with the chat shows when the answer is sent.
    await chat.typing().catch(() => undefined)
    if (!stopped && clock.monotonic() < until) cancelTimer = clock.after(EVERY_MS, () => void show())
  }
  // The agent is asked first; an answer that is there at once needs no such thing.
  let cancelTimer: CancelTimer = clock.after(0, () => void show())
  return () => {
    stopped = true
    cancelTimer()
  }
}
