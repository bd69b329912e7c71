import { type AgentEvent, type Clock, type Duration, type MessageInput, TenantPool } from '@tenantbox/core'
import type { Due } from '@tenantbox/workspace'
import type { Context } from 'grammy'
import { systemClock } from './common/clock.js'
import { invalidOption, oneOf, positiveBytes, toMilliseconds } from './common/option-values.js'
import type { TelegramWarning } from './common/warnings.js'

export interface TelegramOptions<C extends Context> {
  pool: TenantPool
  /**
   * Whose update it is. Undefined: nobody's; it is handled by the bot at once, once, and with no tenant.
   * @default the chat it came from, `String(ctx.chat.id)`; a group that becomes a supergroup stays the tenant it was
   */
  tenant?: ((ctx: Context) => string | undefined) | undefined
  /**
   * `now`: handled at once, beside what the tenant has in hand, such as `/cancel`. It is kept like all others, and its
   * turn comes again in the queue if this handling fails. @default 'queue'
   */
  lane?: ((ctx: Context) => 'queue' | 'now') | undefined
  /** What a new message does while the tenant's box answers: wait, or end that answer. @default 'queue' */
  whileAnswering?: 'queue' | 'interrupt' | undefined
  /** How long the parts of an album are waited for, each after the one before. 0: each is a message. @default '1s' */
  gather?: Duration | undefined
  /**
   * How an answer is shown while it grows: by editing the message; by Telegram's draft previews, in private chats only;
   * or not before it is complete. @default 'edit'
   */
  stream?: 'edit' | 'draft' | false | undefined
  /** The pause between two edits. @default '1s' in private chats, '3s' in others, as Telegram's limits are */
  editEvery?: Duration | undefined
  /** Files both ways. `maxBytes` of one file, at most 20 MB (in) and 50 MB (out) at Telegram. @default 20 MB; `false`: none */
  files?: { maxBytes?: number | undefined } | false | undefined
  /**
   * Whether the schedules in the tenants' SCHEDULES.json are seen to: each due is asked of the agent as a message with
   * `cause: 'schedule'`. A function says what is asked. @default true
   */
  reminders?: boolean | ((due: Due) => MessageInput) | undefined
  /** What of the agent's events is shown, as Markdown. @default the text of `text` events */
  render?: ((event: AgentEvent) => string | undefined) | undefined
  /**
   * What the user is told when a message could not be handled: at once if it is no use to try again, else after the last
   * attempt. Undefined: nothing. @default 'Something went wrong. Please try again later.'
   */
  onFailure?: ((error: unknown, ctx: C) => string | undefined) | undefined
  /**
   * Attempts at one message, the process's own ends among them, before it is parked as failed; at most 999. Those that an
   * outage of Telegram or of the engine has ended do not count. @default 5
   */
  maxAttempts?: number | undefined
  /** Told of what fails no call. @default a warning of the process */
  onWarning?: ((warning: TelegramWarning) => void) | undefined
  /** For tests. @default the system's */
  clock?: Clock | undefined
}

export interface ResolvedTelegramOptions<C extends Context> {
  readonly pool: TenantPool
  readonly tenant: ((ctx: Context) => string | undefined) | undefined
  readonly lane: (ctx: Context) => 'queue' | 'now'
  readonly whileAnswering: 'queue' | 'interrupt'
  readonly gatherMs: number
  readonly stream: 'edit' | 'draft' | false
  /** Undefined: by the kind of chat. */
  readonly editEveryMs: number | undefined
  /** Undefined: no files. */
  readonly maxFileBytes: number | undefined
  readonly reminders: false | ((due: Due) => MessageInput)
  readonly render: (event: AgentEvent) => string | undefined
  readonly onFailure: (error: unknown, ctx: C) => string | undefined
  readonly maxAttempts: number
  readonly onWarning: ((warning: TelegramWarning) => void) | undefined
  readonly clock: Clock
}

const KEYS = [
  'pool',
  'tenant',
  'lane',
  'whileAnswering',
  'gather',
  'stream',
  'editEvery',
  'files',
  'reminders',
  'render',
  'onFailure',
  'maxAttempts',
  'onWarning',
  'clock',
]
const MAX_FILE_BYTES = 20_000_000
const APOLOGY = 'Something went wrong. Please try again later.'

/** @throws TenantBoxError `INVALID_OPTION`, naming the option, what it must be and what it got */
export function resolveOptions<C extends Context>(options: TelegramOptions<C>): ResolvedTelegramOptions<C> {
  for (const key of Object.keys(options))
    if (!KEYS.includes(key)) throw invalidOption(key, `left out: the known ones are ${KEYS.join(', ')}`, key)
  if (!(options.pool instanceof TenantPool)) throw invalidOption('pool', 'a TenantPool', options.pool)
  for (const key of ['tenant', 'lane', 'render', 'onFailure', 'onWarning'] as const)
    if (options[key] !== undefined && typeof options[key] !== 'function')
      throw invalidOption(key, 'a function', options[key])
  const { editEvery, files = {} } = options
  return {
    pool: options.pool,
    tenant: options.tenant,
    lane: options.lane ?? (() => 'queue'),
    whileAnswering: oneOf('whileAnswering', options.whileAnswering ?? 'queue', ['queue', 'interrupt']),
    gatherMs: toMilliseconds('gather', options.gather ?? '1s'),
    stream: oneOf('stream', options.stream ?? 'edit', ['edit', 'draft', false]),
    editEveryMs: editEvery === undefined ? undefined : toMilliseconds('editEvery', editEvery),
    maxFileBytes:
      files === false ? undefined : positiveBytes('files.maxBytes', files.maxBytes ?? MAX_FILE_BYTES),
    reminders: resolveReminders(options.reminders ?? true),
    render: options.render ?? ((event) => (event.type === 'text' ? event.text : undefined)),
    onFailure: options.onFailure ?? (() => APOLOGY),
    // The mailbox sees to it that it is a number.
    maxAttempts: options.maxAttempts ?? 5,
    onWarning: options.onWarning,
    clock: options.clock ?? systemClock,
  }
}

function resolveReminders(
  reminders: boolean | ((due: Due) => MessageInput),
): false | ((due: Due) => MessageInput) {
  if (typeof reminders === 'function' || reminders === false) return reminders
  if (reminders !== true) throw invalidOption('reminders', 'true, false or a function', reminders)
  return ({ schedule }) => ({
    text: schedule.text,
    ...(schedule.payload === undefined ? {} : { data: schedule.payload }),
  })
}
