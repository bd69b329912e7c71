import type { Clock } from '@tenantbox/core'
import { GrammyError } from 'grammy'
import { Backoff, sleep } from '../common/clock.js'
import { TelegramError } from '../common/errors.js'
import type { Warn } from '../common/warnings.js'
import { refusalOf } from '../sending/refusal.js'

const FIRST_RETRY_MS = 500
const LONGEST_RETRY_MS = 30_000

/**
 * Calls Telegram until it answers: an app may start while the network is not there yet.
 *
 * @throws TelegramError `UNAUTHORIZED`; what else Telegram refuses; the signal's reason
 */
export async function untilReached<T>(
  call: (signal: AbortSignal) => Promise<T>,
  { clock, warn, signal }: { clock: Clock; warn: Warn; signal: AbortSignal },
): Promise<T> {
  const backoff = new Backoff(FIRST_RETRY_MS, LONGEST_RETRY_MS)
  for (;;) {
    try {
      return await call(signal)
    } catch (error) {
      signal.throwIfAborted()
      // An unknown token is an unknown address.
      if (error instanceof GrammyError && (error.error_code === 401 || error.error_code === 404))
        throw new TelegramError(
          'UNAUTHORIZED',
          'Telegram does not know this bot: look at the token, @BotFather has the right one.',
          { cause: error },
        )
      if (refusalOf(error)?.kind !== 'unreachable') throw error
      if (backoff.failures === 1)
        warn('TELEGRAM_UNREACHABLE', 'Telegram cannot be reached. It is tried again, later and later.', {
          cause: error,
        })
      await sleep(clock, backoff.next(), signal)
    }
  }
}
