import { isTenantBoxError } from '@tenantbox/core'
import { isWorkspaceError } from '@tenantbox/workspace'
import { GrammyError, HttpError } from 'grammy'
import { TELEGRAM } from '../common/errors.js'

/** Why Telegram did not do what it was asked for. */
export type Refusal =
  /** Nothing to change: the message is already as it should be. */
  | { readonly kind: 'unchanged' }
  /** Blocked, deleted, or the bot is no longer in the chat. */
  | { readonly kind: 'gone' }
  /** The group has become a supergroup under another id. */
  | { readonly kind: 'moved'; readonly to: number }
  | { readonly kind: 'no-topic' }
  /** The message to be edited or deleted is not there any more, or is out of reach. */
  | { readonly kind: 'not-editable' }
  /** The formatting was not understood, or not taken. */
  | { readonly kind: 'formatting' }
  /** No answer, or none that says anything about the call: the same may succeed later. */
  | { readonly kind: 'unreachable' }
  /** Too much at a time, for longer than is waited for. */
  | { readonly kind: 'flood'; readonly retryAfterMs: number }
  /** Whatever else: it will be refused again. */
  | { readonly kind: 'refused' }

const BY_DESCRIPTION: readonly (readonly [
  RegExp,
  'unchanged' | 'gone' | 'no-topic' | 'not-editable' | 'formatting',
])[] = [
  [/message is not modified/i, 'unchanged'],
  [/message thread not found|topic[_ ](closed|deleted|not found)/i, 'no-topic'],
  [
    /message (to edit|to delete|identifier)?.*(not found|can't be (edited|deleted))|message_id_invalid/i,
    'not-editable',
  ],
  [
    /chat not found|user is deactivated|peer_id_invalid|chat_write_forbidden|have no rights to send|not enough rights/i,
    'gone',
  ],
  [/parse entities|entity|entities/i, 'formatting'],
]

/** What reading a file for an upload has failed with: grammY takes that for the network's failure. */
export function ownErrorOf(error: unknown): Error | undefined {
  if (!(error instanceof HttpError)) return undefined
  return isTenantBoxError(error.error) || isWorkspaceError(error.error) ? error.error : undefined
}

/** Undefined when it is no failure of a call to Telegram. */
export function refusalOf(error: unknown): Refusal | undefined {
  if (error instanceof HttpError) return ownErrorOf(error) ? undefined : { kind: 'unreachable' }
  if (!(error instanceof GrammyError)) return undefined
  const { error_code: status, description, parameters } = error
  if (parameters.migrate_to_chat_id !== undefined) return { kind: 'moved', to: parameters.migrate_to_chat_id }
  if (status === 429) return { kind: 'flood', retryAfterMs: (parameters.retry_after ?? 0) * 1000 }
  // With a token that was revoked nothing can be said until the app has the new one.
  if (status >= 500 || status === 401) return { kind: 'unreachable' }
  if (status === 403) return { kind: 'gone' }
  for (const [pattern, kind] of BY_DESCRIPTION) if (pattern.test(description)) return { kind }
  return { kind: 'refused' }
}

/** Whether it says nothing of what was to be said, but only that Telegram does not take it now. */
export function isAway(error: unknown): boolean {
  if (isTenantBoxError(error, 'SERVICE_UNAVAILABLE')) return error.details.service === TELEGRAM
  const kind = refusalOf(error)?.kind
  return kind === 'unreachable' || kind === 'flood'
}
