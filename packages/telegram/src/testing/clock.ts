import type { Clock } from '@tenantbox/core'

/** Seconds since the epoch, as Telegram writes dates. */
export function unixTime(clock: Clock): number {
  return Math.floor(clock.now() / 1000)
}
