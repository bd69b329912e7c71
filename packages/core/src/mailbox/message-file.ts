import type { Json } from '../agent-events.js'
import { TenantBoxError } from '../errors.js'
import { invalidOption } from '../units.js'
import { keyOf } from './message-name.js'

/** A message as its file holds it. */
export interface Message<B extends Json> {
  readonly id: string
  readonly body: B
  /** Milliseconds since the epoch. */
  readonly postedAt: number
}

const MOST_ID_BYTES = 1024
/** Of a message as JSON. */
export const MOST_MESSAGE_BYTES = 1024 * 1024

/** @throws TenantBoxError `INVALID_OPTION`, `TOO_LARGE` */
export function formatMessage<B extends Json>(tenant: string, { id, body, postedAt }: Message<B>): string {
  if (typeof id !== 'string' || id === '' || Buffer.byteLength(id) > MOST_ID_BYTES)
    throw invalidOption('message.id', `a string of 1 to ${MOST_ID_BYTES} bytes`, id)
  const text = `{"version":1,"id":${JSON.stringify(id)},"postedAt":${postedAt},"body":${jsonOf(body)}}`
  const bytes = Buffer.byteLength(text)
  if (bytes > MOST_MESSAGE_BYTES)
    throw new TenantBoxError(
      'TOO_LARGE',
      `A message to tenant ${JSON.stringify(tenant)} has ${bytes} bytes as JSON; a mailbox takes at most ${MOST_MESSAGE_BYTES}. Put what is large into a file in the workspace, and post its path.`,
      { what: 'a message', bytes, limit: MOST_MESSAGE_BYTES },
      { tenant },
    )
  return text
}

/** Asked once: a `toJSON` need not answer the same again. */
function jsonOf(body: unknown): string {
  try {
    const text: string | undefined = JSON.stringify(body)
    if (text !== undefined) return text
  } catch {
    // A BigInt, or a circle: what is wrong is said below, without showing the body.
  }
  throw invalidOption('message.body', 'a JSON value', body)
}

/** Undefined when it is not the message that its name says. */
export function parseMessage<B extends Json>(text: string, key: string): Message<B> | undefined {
  let file: unknown
  try {
    file = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof file !== 'object' || file === null) return undefined
  const { version, id, postedAt, body } = file as Readonly<Record<string, unknown>>
  if (version !== 1 || typeof id !== 'string' || keyOf(id) !== key || body === undefined) return undefined
  // Of the type that it was posted as.
  return { id, body: body as B, postedAt: typeof postedAt === 'number' ? postedAt : 0 }
}
