import fc from 'fast-check'

/** What stays the same throughout one run. */
export interface Conditions {
  readonly maxRunning: number | undefined
  readonly maxQueued: number | undefined
  /** In milliseconds, as all below. */
  readonly minUptime: number
  readonly pauseAfter: number | false
  readonly removeAfter: number | false
  /** By HTTP as most agents are, or by a line of the log, which takes a tenth of the time. */
  readonly ready: 'agent' | 'log'
  readonly onDrift: 'next-wake' | 'keep'
  /** How the app's own callbacks behave: the listeners, the veto and `perTenant`. */
  readonly callbacks: 'none' | 'well' | 'throw'
  /** Whether the scheduler also decides when what others can see on the disk is done. */
  readonly slowDisk: boolean
  readonly onClose: 'keep' | 'stop' | 'remove'
}

export const anyConditions: fc.Arbitrary<Conditions> = fc.record({
  maxRunning: fc.constantFrom(undefined, 1, 2),
  maxQueued: fc.constantFrom(undefined, undefined, 1),
  minUptime: fc.constantFrom(0, 5_000),
  pauseAfter: fc.constantFrom<number | false>(false, 30_000),
  removeAfter: fc.constantFrom<number | false>(false, 600_000),
  ready: fc.constantFrom('log', 'log', 'log', 'agent'),
  onDrift: fc.constantFrom('next-wake', 'next-wake', 'keep'),
  callbacks: fc.constantFrom('none', 'well', 'throw'),
  slowDisk: fc.boolean(),
  onClose: fc.constantFrom('keep', 'stop', 'remove'),
})

/** The first two differ for a careful reader only. */
export const TENANTS = ['ann', 'Ann', 'bob'] as const
export type Tenant = (typeof TENANTS)[number]

export const STOP_AFTER = 120_000
export const QUEUE_TIMEOUT = 20_000
export const WAKE_TIMEOUT = 10_000
export const LEASE_TIMEOUT = 300_000
