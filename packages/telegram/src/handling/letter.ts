import type { AgentFile, Json } from '@tenantbox/core'
import type { Due } from '@tenantbox/workspace'
import type { Update } from 'grammy/types'

/** What waits in a tenant's mailbox. */
export type Letter =
  /** From the tenant's people; several are the parts of one album. */
  | { readonly kind: 'updates'; readonly updates: readonly [Update, ...Update[]] }
  /** Of one of the tenant's schedules. */
  | { readonly kind: 'due'; readonly due: Due }
  /** From the app, or from the agent itself: to be shown as it is. */
  | { readonly kind: 'say'; readonly say: Say }

export interface Say {
  readonly text: string
  readonly thread?: string
  readonly files?: readonly AgentFile[]
}

/** Of what an app or an agent hands in, what is there. */
export function sayOf({
  text,
  thread,
  files,
}: { [K in keyof Say]: Say[K] | undefined } & { text: string }): Say {
  return { text, ...(thread === undefined ? {} : { thread }), ...(files === undefined ? {} : { files }) }
}

/** A letter as a mailbox keeps it. All of its members came from JSON, or become it without loss. */
export function toJson(letter: Letter): Json {
  return letter as unknown as Json
}

export function fromJson(body: Json): Letter {
  return body as unknown as Letter
}

/** Unique over all bots that ever serve the tenant; what tenants name themselves is never like it. */
export function updateId(bot: number, update: Update): string {
  return `update:${bot}:${update.update_id}`
}

export function dueId(due: Due): string {
  return `due:${due.id}`
}

export function sayId(id: string): string {
  return `say:${id}`
}
