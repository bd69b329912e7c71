import type { Duplex, Readable, Writable } from 'node:stream'

/** The pool a driver works for. Everything the driver makes carries `name` and `owner`; nothing else is ever touched. */
export interface PoolIdentity {
  readonly name: string
  /** Random id of this `dataDir`, kept in `pool.json`: tells two pools of the same name apart. */
  readonly owner: string
  /** Absolute path of the pool's data folder, as this process sees it. */
  readonly dataDir: string
}

/** Abort and nothing else: the pool turns timeouts into signals. */
export interface DriverCall {
  signal?: AbortSignal | undefined
}

export interface DriverWarning {
  readonly code: string
  readonly message: string
  /** Whether the driver has said it on stderr itself. @default false */
  readonly printed?: boolean
}

export interface PullProgress {
  readonly image: string
  readonly done: number
  readonly total: number
  readonly finished: boolean
}

export interface DriverReport {
  /** Name and version, for people. */
  readonly engine: string
  /** Protections that this engine or machine cannot give. Errors under the pool's `strict`. */
  readonly warnings: readonly DriverWarning[]
  /** What `transport: 'auto'` means here. */
  readonly transport: 'socket' | 'port'
  /** Set when the driver can give every tenant a uid of its own: the range (both ends included) to draw from. */
  readonly uids?: { readonly first: number; readonly last: number } | undefined
}

/** One box, whatever its state. `id` is the engine's, unique over time; `slug` and `tenant` say whose it is. */
export interface BoxRef {
  readonly id: string
  readonly tenant: string
  readonly slug: string
}

/** A box as the engine reports it. */
export interface BoxRecord {
  readonly ref: BoxRef
  readonly state: 'stopped' | 'running' | 'paused'
  /** When its present or last life began, in milliseconds since the epoch; 0 if it was never started. */
  readonly startedAt: number
  /** The drift hash it was created with. */
  readonly spec: string
  /** True for an old box that was set aside while its successor is tried. */
  readonly aside: boolean
  /** How its last life ended, when it is stopped and has lived. */
  readonly exit?: BoxExit | undefined
}

export interface BoxExit {
  readonly code?: number | undefined
  readonly oom: boolean
}

/**
 * Something happened to a box. A hint, not the truth: the pool asks `inspect` before it acts on one, so that late,
 * repeated or missed events do no harm.
 */
export interface DriverEvent {
  readonly type: 'started' | 'died' | 'oom' | 'paused' | 'resumed' | 'renamed' | 'removed'
  readonly ref: BoxRef
  /** By the engine's clock, in milliseconds since the epoch. For people: clocks are set back. */
  readonly at: number
}

/** A mount of the box. `host` is a path on the engine's machine. */
export interface ResolvedMount {
  readonly host: string
  readonly box: string
  readonly readOnly: boolean
}

/** All a driver needs to make a box: every default filled in, every size in bytes, every duration in milliseconds. */
export interface ResolvedBoxSpec {
  readonly image: string
  readonly command: readonly string[] | undefined
  readonly env: Readonly<Record<string, string>>
  readonly limits: {
    readonly memory: number
    readonly cpus: number
    readonly pids: number
    readonly disk: number | undefined
  }
  readonly network: 'none' | 'internet' | { readonly name: string }
  readonly transport: 'socket' | { readonly port: number }
  /** Uses the image's own health check, so it must be kept and read; otherwise it is switched off. */
  readonly healthcheck: boolean
  readonly user: { readonly uid: number; readonly gid: number } | undefined
  readonly stopGraceMs: number
  readonly mounts: readonly ResolvedMount[]
  readonly readOnlyRoot: boolean
  /** Bytes of the /tmp tmpfs. */
  readonly tmp: number
}

/** What `create` is given beside the spec: whose box it is, and the hash that tells it from one made of another spec. */
export interface BoxIdentity {
  readonly tenant: string
  readonly slug: string
  readonly spec: string
}

export interface SpawnRequest {
  readonly command: readonly string[]
  /** @default the tenant's workspace, as the box sees it */
  readonly cwd?: string | undefined
  readonly env?: Readonly<Record<string, string>> | undefined
  readonly tty?: boolean | { columns: number; rows: number } | undefined
}

/** A process inside a box. Disposing kills it. */
export interface BoxProcess extends AsyncDisposable {
  readonly stdin: Writable
  readonly stdout: Readable
  /** Empty when there is a tty: both come out of `stdout`. */
  readonly stderr: Readable
  /** The exit code; rejects when the process's end could not be observed. */
  readonly exited: Promise<number>
  resize?(columns: number, rows: number): Promise<void>
  /** Ends the process; rejects when the engine gives no way to make sure of it. */
  kill(): Promise<void>
}

export interface BoxStats {
  /** Milliseconds since the epoch. */
  at: number
  /** CPU time used in this life, in seconds. */
  cpuSeconds: number
  memoryBytes: number
  memoryLimit: number
  pids: number
  diskBytes?: number
}

export interface LogLine {
  /** Milliseconds since the epoch. */
  at: number
  stream: 'stdout' | 'stderr'
  text: string
}

export interface LogsRequest {
  /** Goes on with what the box writes from now on, until its life ends. @default false */
  readonly follow?: boolean | undefined
  /** How many of the last lines to begin with. @default all */
  readonly tail?: number | undefined
  /** Only lines of this time or later, in milliseconds since the epoch. */
  readonly since?: number | undefined
  /**
   * Only what a running box has written in its present life. Its `startedAt` does not tell that: an engine may note it
   * after the first line.
   */
  readonly thisLife?: boolean | undefined
}

/**
 * Where boxes run. The smallest honest contract: no engine's type crosses it, and `describeDriver` of
 * `@tenantbox/core/testing` tells whether an implementation keeps it.
 *
 * `start`, `pause`, `resume`, `stop`, `remove`, `setAside` and `restore` are idempotent: what matters is the state
 * afterwards, so an engine's "already so" is success and a removal in progress is waited out. On a box that is gone,
 * `stop` and `remove` succeed; the others throw `START_FAILED`. An engine that cannot be reached, does not answer in
 * time or can work for nobody is `ENGINE_UNAVAILABLE`, upon which the pool connects anew for all tenants. One that
 * refuses something for one box is there: `START_FAILED`, whatever the call.
 */
export interface Driver {
  readonly name: string
  readonly supports: {
    readonly pause: boolean
    readonly isolation: 'none' | 'container' | 'pod'
    /** Whether boxes outlive the process that made them. */
    readonly survivesRestart: boolean
  }
  /** Reaches the engine, checks its version, probes what it can enforce. Called again after `close`. */
  open(pool: PoolIdentity, options?: DriverCall): Promise<DriverReport>
  /** Resolves once subscribed: nothing that happens after that is missed until the iteration ends or throws. */
  watch(options: { signal: AbortSignal }): Promise<AsyncIterable<DriverEvent>>
  /**
   * Every box of this pool, in any state, also those set aside. Of a stopped one, when it lived and how that ended may
   * be left out (`startedAt` 0, no `exit`), where an engine would have to be asked about each; so may be the time of a
   * live one of which the engine refuses to tell it.
   */
  list(options?: DriverCall): Promise<readonly BoxRecord[]>
  /** Undefined only when the engine says that there is no such box. */
  inspect(ref: BoxRef, options?: DriverCall): Promise<BoxRecord | undefined>
  /** The box with this tenant's name, whoever made it; `FOREIGN_BOX` when it is not this pool's. */
  find(slug: string, options?: DriverCall): Promise<BoxRecord | undefined>
  /** Makes sure the image is there, pulling it if it must; the result changes whenever the image does. */
  prepare(
    spec: ResolvedBoxSpec,
    options?: DriverCall & { onPull?: ((progress: PullProgress) => void) | undefined },
  ): Promise<{ image: string }>
  /** Makes a stopped box. `FOREIGN_BOX` when the name is taken by one that is not this pool's. */
  create(identity: BoxIdentity, spec: ResolvedBoxSpec, options?: DriverCall): Promise<BoxRef>
  /** Frees the name of a stopped box, so that a successor can be made beside it. */
  setAside(ref: BoxRef, options?: DriverCall): Promise<void>
  /** Gives a box that was set aside its name back. */
  restore(ref: BoxRef, options?: DriverCall): Promise<void>
  /**
   * Starts a stopped box; resolves with the new life once its process runs. `already`: it ran before it was asked, so
   * that its folders may have been made ready under its feet.
   */
  start(ref: BoxRef, options?: DriverCall): Promise<{ startedAt: number; already?: boolean }>
  pause(ref: BoxRef, options?: DriverCall): Promise<void>
  resume(ref: BoxRef, options?: DriverCall): Promise<void>
  /** Ends the box's processes: politely at first, by force after `graceMs`. Works on a paused box too. */
  stop(ref: BoxRef, options: DriverCall & { graceMs: number }): Promise<void>
  /** Removes the box in whatever state it is. The tenant's folders are not touched. */
  remove(ref: BoxRef, options?: DriverCall): Promise<void>
  spawn(ref: BoxRef, request: SpawnRequest, options?: DriverCall): Promise<BoxProcess>
  logs(ref: BoxRef, request?: LogsRequest, options?: DriverCall): AsyncIterable<LogLine>
  stats(ref: BoxRef, options?: DriverCall): Promise<BoxStats>
  /** The state of the image's own health check. */
  health?(ref: BoxRef, options?: DriverCall): Promise<'starting' | 'healthy' | 'unhealthy'>
  /** A fresh connection to what the box listens on: its socket, or `port` when its transport is a port. */
  dial(ref: BoxRef, options?: DriverCall & { port?: number | undefined }): Promise<Duplex>
  /** Lets go of everything but the boxes. */
  close(): Promise<void>
}
