import type { TenantBox } from '@tenantbox/core'

/** One handling of one letter: a mailbox's turn, or one that was brought forward. */
export interface Handling {
  readonly tenant: string
  readonly id: string
  /** Counts from 1. */
  readonly attempt: number
  readonly signal: AbortSignal
  /** Awake and leased until the handling ends. */
  box(): Promise<TenantBox>
}
