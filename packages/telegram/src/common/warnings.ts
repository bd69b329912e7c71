/** Something that nobody's call fails with, but that the app should know: `docs/errors-and-warnings.md` says what to do. */
export interface TelegramWarning {
  code: /** Telegram cannot be reached; tried again, later and later. */
    | 'TELEGRAM_UNREACHABLE'
    /** Another process, or a webhook, takes the bot's updates; tried again, later and later. */
    | 'POLLED_ELSEWHERE'
    /** Telegram no longer takes the token: nothing is received until the app is started with another one. */
    | 'UNAUTHORIZED'
    /** Updates could not be made durable; they stay at Telegram, and are tried again. */
    | 'NOT_STORED'
    /** A message was dropped: the tenant has too many waiting. */
    | 'FLOODED'
    /** An update was dropped, or waits in the queue since `lane` threw. */
    | 'UPDATE_DROPPED'
    /** The chat is no longer there for the bot; what was for it is dropped. */
    | 'CHAT_GONE'
    /** A message for the user was dropped: no chat is known for the tenant, or Telegram refused it for good. */
    | 'NOT_DELIVERED'
    /** A message was parked after its last attempt, which may have ended the process: `retryFailed` has it wait again. */
    | 'PARKED'
    /** A file of the agent's could not be read or sent; the rest of the answer was. */
    | 'FILE_NOT_SENT'
    /** The agent, or the app, said more at once than is shown; it was cut, and an agent that answers was told to stop. */
    | 'ANSWER_CUT'
    /** A tenant's SCHEDULES.json cannot be used as it is, or reminders cannot be seen to. */
    | 'REMINDERS'
  message: string
  /** Milliseconds since the epoch. */
  at: number
  tenant?: string
  cause?: unknown
}

export type Warn = (
  code: TelegramWarning['code'],
  message: string,
  about?: { tenant?: string | undefined; cause?: unknown },
) => void

/** Reports to the app; unheard, it is a warning of the process. */
export function warner(
  onWarning: ((warning: TelegramWarning) => void) | undefined,
  now: () => number,
  clean: <E>(error: E) => E,
): Warn {
  return (code, message, { tenant, cause } = {}) => {
    if (!onWarning) return process.emitWarning(message, { type: 'TenantBoxWarning', code })
    try {
      onWarning({
        code,
        message,
        at: now(),
        ...(tenant === undefined ? {} : { tenant }),
        ...(cause === undefined ? {} : { cause: clean(cause) }),
      })
    } catch (error) {
      // A listener that throws must not keep messages from their users.
      process.emitWarning(`The onWarning of the telegram gateway threw: ${clean(error)}`, {
        type: 'TenantBoxWarning',
      })
    }
  }
}
