import type { Json } from '../agent-events.js'
import { positiveInteger } from '../box-spec.js'
import { TenantPool } from '../pool.js'
import { assertKnownKeys, type Duration, invalidOption, toMilliseconds } from '../units.js'
import type { AgentPost } from './agent-posts.js'
import { MOST_ATTEMPTS } from './message-name.js'
import type { Turn } from './turn.js'

export interface MailboxOptions<B extends Json = Json> {
  /** The pool whose tenants the messages are for. It has one mailbox at a time. */
  pool: TenantPool
  /**
   * Handles one message; done when it resolves, tried again when it rejects: with `SERVICE_UNAVAILABLE` as often as it
   * takes. One at a time for each tenant. It should end when `turn.signal` aborts: while it does not, its tenant waits.
   */
  handle: (turn: Turn<B>) => Promise<void>
  /** Turns at the same time, of different tenants. @default 64 */
  concurrency?: number | undefined
  /** Attempts at one message before it is parked in `failed/`; at most 999. @default 5 */
  maxAttempts?: number | undefined
  /** Messages of one tenant that wait or have failed; one more is refused with `MAILBOX_FULL`. @default 1000 */
  maxDepth?: number | undefined
  /** Messages that wait in all mailboxes; one more is refused with `MAILBOX_FULL`. @default 100000 */
  maxWaiting?: number | undefined
  /** How long the id of a handled message is known; the latest 10,000 of each tenant at most. @default '24h' */
  keepDone?: Duration | undefined
  /**
   * Lets agents speak first: turns what one has sent to `POST /messages` into a message's body. What an agent sends is a
   * tenant's own words, whoever it claims to be. Without it such requests get 404.
   */
  fromAgent?: ((post: AgentPost, context: { tenant: string }) => B) | undefined
}

export interface ResolvedMailboxOptions<B extends Json> {
  readonly pool: TenantPool
  readonly handle: MailboxOptions<B>['handle']
  readonly concurrency: number
  readonly maxAttempts: number
  readonly maxDepth: number
  readonly maxWaiting: number
  readonly keepDoneMs: number
  readonly fromAgent: MailboxOptions<B>['fromAgent']
}

const KEYS = [
  'pool',
  'handle',
  'concurrency',
  'maxAttempts',
  'maxDepth',
  'maxWaiting',
  'keepDone',
  'fromAgent',
] as const

/** @throws TenantBoxError `INVALID_OPTION` */
export function resolveMailboxOptions<B extends Json>(options: MailboxOptions<B>): ResolvedMailboxOptions<B> {
  assertKnownKeys('', options, KEYS)
  const { pool, handle, fromAgent } = options
  if (!(pool instanceof TenantPool)) throw invalidOption('pool', 'a TenantPool', pool)
  if (typeof handle !== 'function') throw invalidOption('handle', 'a function', handle)
  if (fromAgent !== undefined && typeof fromAgent !== 'function')
    throw invalidOption('fromAgent', 'a function', fromAgent)
  const maxAttempts = positiveInteger('maxAttempts', options.maxAttempts ?? 5)
  if (maxAttempts > MOST_ATTEMPTS) throw invalidOption('maxAttempts', `at most ${MOST_ATTEMPTS}`, maxAttempts)
  return Object.freeze({
    pool,
    handle,
    concurrency: positiveInteger('concurrency', options.concurrency ?? 64),
    maxAttempts,
    maxDepth: positiveInteger('maxDepth', options.maxDepth ?? 1_000),
    maxWaiting: positiveInteger('maxWaiting', options.maxWaiting ?? 100_000),
    keepDoneMs: toMilliseconds('keepDone', options.keepDone ?? '24h'),
    fromAgent,
  })
}
