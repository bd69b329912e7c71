import type { AgentFile, AgentMessage, TenantBox, TenantInfo } from '@tenantbox/core'
import type { Workspace } from '@tenantbox/workspace'

/** The tenant of an update, as `ctx.tenant`. */
export interface TenantContext {
  readonly id: string
  /** Counts from 1: above that, the update was handled before and that failed, or the process ended meanwhile. */
  readonly attempt: number
  /** Aborts when the handling should end, because the gateway closes. */
  readonly signal: AbortSignal
  /**
   * Asks the tenant's agent and shows its answer in the chat. The text, caption and files of the update are the message,
   * unless `message` says otherwise. Resolves also when the answer was cancelled.
   *
   * @throws what the pool throws; TelegramError `CHAT_GONE`, `NO_CHAT`, `AGENT_ERROR`, `FILE_FAILED`. What a handler
   * throws is tried again, if there is use in that
   */
  answer(message?: Partial<AgentMessage>): Promise<void>
  /** Ends the answers that are being given to this tenant now; false when there is none. What they said stays. */
  cancel(): boolean
  /** Work with the box, awake and leased. */
  box<T>(work: (box: TenantBox, signal: AbortSignal) => Promise<T>): Promise<T>
  /** Undefined before the tenant's first message. */
  info(): TenantInfo | undefined
  /** The tenant's files, without waking the box. */
  workspace(): Promise<Workspace>
  /** Sends a file of the workspace to the chat. */
  sendFile(file: AgentFile): Promise<void>
  /** Deletes the box and all of the tenant's files, for good; what waits in the mailbox, too. */
  forget(): Promise<void>
}

/** For the bot's context: `Bot<Context & TenantFlavor>`. */
export type TenantFlavor = { tenant: TenantContext }
