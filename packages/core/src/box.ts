import type { Duplex } from 'node:stream'
import { either, onAbort } from './abort.js'
import { type AgentEvent, type Answer, askAgent, createAnswer, type MessageInput } from './agent.js'
import type { Clock } from './clock.js'
import type { BoxProcess, BoxStats, Driver } from './driver.js'
import { type ExecResult, runToEnd } from './exec.js'
import type { BoxState } from './lifecycle.js'
import { endWithBody } from './response-body.js'
import type { BoxLease, Life } from './tenant.js'
import type { ExecOptions, FetchInit, SpawnOptions, TenantBox } from './tenant-box.js'
import { invalidOption, toBytes } from './units.js'
import type { CallOptions } from './wait.js'

/** What a box needs of the pool. */
export interface BoxHost {
  readonly clock: Clock
  readonly driver: Pick<Driver, 'spawn' | 'stats'>
  workspaceOf(slug: string): string
  /**
   * A lease on `life`, awake. Taken before the first await, unless somebody waits for the leases to end and `within` is
   * not one of those.
   */
  enter(
    life: Life,
    within: BoxLease | 'observer' | undefined,
    operation: string,
    options: CallOptions,
  ): Promise<BoxLease>
  dial(life: Life, signal: AbortSignal): Promise<Duplex>
  /** `work` under the caller's signal and timeout. */
  bounded<T>(
    operation: string,
    tenant: string,
    options: CallOptions,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T>
  /** The agent has answered in time. */
  answered(life: Life): void
  /** An operation failed in a way that may mean that the box is not what the pool thinks it is. */
  failed(life: Life, error: unknown): void
}

export class Box implements TenantBox {
  readonly #life: Life
  readonly #within: BoxLease | 'observer' | undefined
  readonly #host: BoxHost

  /**
   * @param within the lease this handle was given with: its operations need not queue behind those who wait for that
   * one's end. An observer's use is no activity.
   */
  constructor(life: Life, within: BoxLease | 'observer' | undefined, host: BoxHost) {
    this.#life = life
    this.#within = within
    this.#host = host
  }

  get tenant(): string {
    return this.#life.tenantId
  }

  get generation(): number {
    return this.#life.generation
  }

  get state(): BoxState {
    return this.#life.tenant.state
  }

  get workspaceDir(): string {
    return this.#host.workspaceOf(this.#life.tenant.slug)
  }

  async fetch(path: string, init: FetchInit = {}): Promise<Response> {
    const { timeout, signal } = init
    const lease = await this.#enter('fetch', { signal: signal ?? undefined, timeout })
    return fetchUnder(lease, this.#host, path, init)
  }

  send(message: MessageInput, options: CallOptions = {}): Answer {
    return createAnswer(
      (signal) => this.#ask(message, { ...options, signal: either(signal, options.signal) }),
      { tenant: this.tenant },
    )
  }

  async *#ask(message: MessageInput, options: CallOptions): AsyncIterable<AgentEvent> {
    yield* askUnder(await this.#enter('send', options), this.#host, message)
  }

  connect(options: CallOptions = {}): Promise<Duplex> {
    return this.#underLease('connect', options, async (lease) => {
      const socket = await this.#host.dial(this.#life, lease.signal)
      onAbort(lease.signal, () => socket.destroy())
      socket.once('close', () => lease.release())
      return socket
    })
  }

  async exec(command: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
    const { cwd, env, input, maxOutput } = options
    const kept = toBytes('maxOutput', maxOutput ?? '1m')
    assertCommand(command)
    return this.#underLease('exec', options, async (lease) => {
      const { signal } = lease
      const process = await this.#host.driver.spawn(this.#life.box, { command, cwd, env }, { signal })
      const result = await runToEnd(process, { input, maxOutput: kept, signal })
      lease.release()
      return result
    })
  }

  async spawn(command: readonly string[], options: SpawnOptions = {}): Promise<BoxProcess> {
    const { cwd, env, tty } = options
    assertCommand(command)
    return this.#underLease('spawn', options, async (lease) => {
      const { signal } = lease
      const process = await this.#host.driver.spawn(this.#life.box, { command, cwd, env, tty }, { signal })
      // What cannot be killed ends with the box at the latest.
      onAbort(signal, () => void process.kill().catch(() => undefined))
      const ended = (): void => lease.release()
      process.exited.then(ended, ended)
      return process
    })
  }

  async stats(options: CallOptions = {}): Promise<BoxStats> {
    if (this.#life.end) throw this.#life.staleError()
    return this.#host.bounded('stats', this.tenant, options, (signal) =>
      this.#host.driver.stats(this.#life.box, { signal }),
    )
  }

  /** Runs `work` under a lease that it releases itself once all is over, and that ends here when it fails. */
  async #underLease<T>(
    operation: string,
    options: CallOptions,
    work: (lease: BoxLease) => Promise<T>,
  ): Promise<T> {
    const lease = await this.#enter(operation, options)
    try {
      return await work(lease)
    } catch (error) {
      throw endFailed(lease, this.#host, error)
    }
  }

  #enter(operation: string, options: CallOptions): Promise<BoxLease> {
    return this.#host.enter(this.#life, this.#within, operation, options)
  }
}

/** Engines differ in what they make of anything else. @throws TenantBoxError `INVALID_OPTION` */
function assertCommand(command: unknown): void {
  if (Array.isArray(command) && command.length > 0 && command.every((word) => typeof word === 'string'))
    return
  throw invalidOption('command', 'a program and its arguments, as an array of strings', command)
}

/** A request to the agent under a lease, which ends with the body of the response. */
export async function fetchUnder(
  lease: BoxLease,
  host: Pick<BoxHost, 'answered' | 'failed' | 'clock'>,
  path: string,
  init: RequestInit,
): Promise<Response> {
  // Not spread: it may be a Request, whose members are getters.
  const { method = 'GET', headers = {}, body = null, redirect = 'follow' } = init
  try {
    const response = await lease.life.transport.fetch(path, {
      method,
      headers,
      body,
      redirect,
      signal: lease.signal,
    })
    host.answered(lease.life)
    return endWithBody(response, () => lease.release(), { clock: host.clock })
  } catch (error) {
    throw endFailed(lease, host, error)
  }
}

/** One message to the agent under a lease, which ends with the answer. */
export async function* askUnder(
  lease: BoxLease,
  host: Pick<BoxHost, 'answered' | 'failed' | 'clock'>,
  message: MessageInput,
): AsyncIterable<AgentEvent> {
  try {
    const { transport, tenantId: tenant } = lease.life
    const ask = (path: string, init?: RequestInit) => transport.fetch(path, init)
    yield* askAgent(ask, message, lease.signal, { tenant, clock: host.clock })
    host.answered(lease.life)
  } catch (error) {
    throw endFailed(lease, host, error)
  } finally {
    lease.release()
  }
}

/** Ends the lease of an operation that failed, and returns why it did: the lease's own end, where that came first. */
function endFailed(lease: BoxLease, host: Pick<BoxHost, 'failed'>, error: unknown): unknown {
  if (!lease.signal.aborted) host.failed(lease.life, error)
  const reason = lease.explain(error)
  lease.release()
  return reason
}
