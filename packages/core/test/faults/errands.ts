import type { Driver } from '../../src/driver.js'

/**
 * `hold`: leases the box for good; `touch`: is active all the time; `renew`: a new release of the agent from now on;
 * `break`: one that exits at once.
 */
export type Act = 'send' | 'hold' | 'touch' | 'pause' | 'stop' | 'remove' | 'renew' | 'break'

/**
 * Where a gateway stands still: `before` a call to the engine, `during` it (the request is out, the answer never read),
 * or `after` it, before anybody hears of it.
 */
export interface Halt {
  readonly call: keyof Driver
  readonly at: 'before' | 'during' | 'after'
}

/** What a gateway does with a tenant's box. */
export interface Errand {
  readonly tenant: string
  readonly acts: readonly Act[]
  /** Where it stands still in the last act. @default it does all, and is ready to be killed then */
  readonly halt?: Halt
  /** Begins again for ever, and is ready to be killed after so many rounds. */
  readonly rounds?: number
}

/** What a gateway is started with. */
export interface Orders {
  readonly name: string
  readonly dataDir: string
  readonly image: string
  readonly errands: readonly Errand[]
}

/** What a gateway tells of one errand, whenever that gets on. */
export interface Report {
  readonly tenant: string
  /** What the agent was told to remember, and has acknowledged. */
  readonly said: readonly string[]
  readonly ready: boolean
  readonly failure?: string
}
