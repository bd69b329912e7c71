import type { DownReason, Exit } from './lifecycle.js'

/** What each error code carries, beyond its message. `afterMs`, `waitedMs` and `retryIn` are milliseconds. */
export interface ErrorDetails {
  INVALID_OPTION: { option: string; expected: string; got: string }
  INVALID_TENANT: { reason: string }
  START_FAILED: Exit & { phase: 'pull' | 'create' | 'start' | 'ready' }
  CRASH_LOOP: Exit & { attempts: number; retryIn: number }
  STALE_BOX: { generation: number; reason: DownReason; exit?: Exit }
  LEASE_EXPIRED: { afterMs: number }
  BUSY: { leases: number }
  CAPACITY: { queued: number }
  QUEUE_TIMEOUT: { waitedMs: number; queued: number }
  TIMEOUT: { operation: string; afterMs: number }
  AGENT_FAILED: { status?: number; sent: boolean; partial: boolean }
  TOO_LARGE: { what: string; bytes: number; limit: number }
  ENGINE_UNAVAILABLE: { endpoint: string; hint: string }
  UNSUPPORTED_ENGINE: { endpoint: string; missing: string }
  POOL_LOCKED: { holder: string }
  POOL_CLOSED: Record<never, never>
  FOREIGN_BOX: { box: string }
  OVER_QUOTA: { bytes: number; limit: number }
  MAILBOX_FULL: { depth: number; limit: number; bound: 'tenant' | 'total' }
  NOT_STORED: { errno: string | undefined }
  /** For a mailbox's handler to throw: what it needs besides the box is not to be reached now. */
  SERVICE_UNAVAILABLE: { service: string }
}

export type ErrorCode = keyof ErrorDetails

export interface ErrorContext {
  tenant?: string | undefined
  cause?: unknown
  /** Whether the same call may succeed later without anything being changed. @default by code */
  retryable?: boolean | undefined
  /** Milliseconds to wait before that. */
  retryAfter?: number | undefined
}

const RETRYABLE: ReadonlySet<ErrorCode> = new Set([
  'CRASH_LOOP',
  'STALE_BOX',
  'BUSY',
  'CAPACITY',
  'QUEUE_TIMEOUT',
  'TIMEOUT',
  'ENGINE_UNAVAILABLE',
  'POOL_LOCKED',
  'MAILBOX_FULL',
  'NOT_STORED',
  'SERVICE_UNAVAILABLE',
])

/** Recognises our errors across duplicate copies of the package. */
const brand = Symbol.for('dev.tenantbox.error')

/**
 * The one error class of TenantBox. Its message says what happened, to which tenant and what to do next; it never
 * holds a secret or the text of a tenant's message.
 */
export class TenantBoxError<C extends ErrorCode = ErrorCode> extends Error {
  override readonly name = 'TenantBoxError'
  readonly code: C
  readonly details: ErrorDetails[C]
  readonly tenant?: string
  readonly retryable: boolean
  readonly retryAfter?: number

  constructor(code: C, message: string, details: ErrorDetails[C], context: ErrorContext = {}) {
    super(message, context.cause === undefined ? undefined : { cause: context.cause })
    this.code = code
    this.details = withHiddenLogs(details)
    if (context.tenant !== undefined) this.tenant = context.tenant
    this.retryable = context.retryable ?? RETRYABLE.has(code)
    if (context.retryAfter !== undefined) this.retryAfter = context.retryAfter
    Object.defineProperty(this, brand, { value: true })
  }
}

/** Log lines are a tenant's own words: there for who asks, never printed along with the error. */
function withHiddenLogs<D extends object>(details: D): D {
  if ('lastLogs' in details) return hideLogs(details)
  const exit = 'exit' in details ? details.exit : undefined
  return typeof exit === 'object' && exit !== null ? { ...details, exit: hideLogs(exit) } : details
}

function hideLogs<E extends object>(exit: E): E {
  return Object.defineProperty({ ...exit }, 'lastLogs', { enumerable: false })
}

export type AnyTenantBoxError<C extends ErrorCode = ErrorCode> = { [K in C]: TenantBoxError<K> }[C]

/**
 * Whether `error` is a TenantBox error, and one of `codes` if any are given. Narrows `details`.
 *
 * @example if (isTenantBoxError(error, 'START_FAILED')) console.log(error.details.lastLogs)
 */
export function isTenantBoxError<C extends ErrorCode = ErrorCode>(
  error: unknown,
  ...codes: readonly C[]
): error is AnyTenantBoxError<C> {
  if (!(error instanceof Error && brand in error && 'code' in error)) return false
  return codes.length === 0 || (codes as readonly string[]).includes(String(error.code))
}
