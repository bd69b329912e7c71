import { afterEach } from 'vitest'
import {
  type Json,
  Mailbox,
  type MailboxEvents,
  type MailboxOptions,
  type TenantPool,
} from '../../src/index.js'

const EVENTS = ['posted', 'done', 'retry', 'failed'] as const
const cleanups: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

export type Seen = {
  [K in keyof MailboxEvents]: { event: K; payload: MailboxEvents[K] }
}[keyof MailboxEvents]

export interface Watched<B extends Json> {
  readonly mailbox: Mailbox<B>
  /** Every event there was, in order. */
  readonly seen: Seen[]
  /** Resolves with the next event that `accept` says true to. */
  next<K extends keyof MailboxEvents>(
    event: K,
    accept?: (event: MailboxEvents[K]) => boolean,
  ): Promise<MailboxEvents[K]>
}

/** A mailbox that is closed after the test. */
export function watch<B extends Json = Json>(
  pool: TenantPool,
  options: Omit<MailboxOptions<B>, 'pool'>,
): Watched<B> {
  const mailbox = new Mailbox<B>({ pool, ...options })
  const seen: Seen[] = []
  for (const event of EVENTS) mailbox.on(event, (payload) => seen.push({ event, payload } as Seen))
  cleanups.push(() => mailbox.close({ drain: 0 }))
  return {
    mailbox,
    seen,
    next: (event, accept = () => true) =>
      new Promise((resolve) => {
        const off = mailbox.on(event, (payload) => {
          if (!accept(payload)) return
          off()
          resolve(payload)
        })
      }),
  }
}

/** The ids of the events of one kind, in order. */
export function ids(seen: readonly Seen[], kind: keyof MailboxEvents): string[] {
  return seen.filter(({ event }) => event === kind).map(({ payload }) => payload.id)
}

/** A promise that the test resolves. */
export function deferred(): { readonly promise: Promise<void>; resolve(): void } {
  let resolve = (): void => undefined
  const promise = new Promise<void>((settle) => {
    resolve = settle
  })
  return { promise, resolve: () => resolve() }
}
