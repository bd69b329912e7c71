import type { Duplex } from 'node:stream'
import type { Answer, MessageInput } from './agent.js'
import type { BoxProcess, BoxStats } from './driver.js'
import type { ExecResult } from './exec.js'
import type { BoxState } from './lifecycle.js'
import type { Duration, Size } from './units.js'
import type { CallOptions } from './wait.js'

export interface ExecOptions extends CallOptions {
  /** @default /workspace */
  cwd?: string
  /** Besides the box's own environment. @default {} */
  env?: Readonly<Record<string, string>>
  /** Written to the standard input, which is then closed. @default none */
  input?: string | Uint8Array
  /** Bytes kept of stdout and stderr together; the rest is read and dropped. @default '1m' */
  maxOutput?: Size
}

export interface SpawnOptions extends CallOptions {
  /** @default /workspace */
  cwd?: string
  /** Besides the box's own environment. @default {} */
  env?: Readonly<Record<string, string>>
  /** A terminal, of this size if one is given. @default false */
  tty?: boolean | { columns: number; rows: number }
}

/** `timeout` bounds the whole exchange, its body included. */
export type FetchInit = RequestInit & { timeout?: Duration }

/**
 * One life of a tenant's box. Each operation leases the box before its first await and wakes it if it is paused; on a
 * life that has ended it fails with `STALE_BOX`, never silently in another.
 */
export interface TenantBox {
  readonly tenant: string
  /** Which life of the box: grows at every start. */
  readonly generation: number
  readonly state: BoxState
  /** The tenant's files, on the gateway's side. Hostile ground: read it with `@tenantbox/workspace`. */
  readonly workspaceDir: string
  /** A request to the agent. Leases until the body of the response is read, cancelled or left alone for 60 s. */
  fetch(path: string, init?: FetchInit): Promise<Response>
  /** One message to the agent. Nothing happens until the answer is read. */
  send(message: MessageInput, options?: CallOptions): Answer
  /** A raw connection to what the agent listens on. Leases until it is closed. */
  connect(options?: CallOptions): Promise<Duplex>
  /** Runs a command to its end; a non-zero exit code is no error. */
  exec(command: readonly string[], options?: ExecOptions): Promise<ExecResult>
  /** Starts a command. Leases until it has ended. */
  spawn(command: readonly string[], options?: SpawnOptions): Promise<BoxProcess>
  /** What the box uses now. Leases nothing: looking at a box does not keep it awake. */
  stats(options?: CallOptions): Promise<BoxStats>
}
