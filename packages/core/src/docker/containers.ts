import type Docker from 'dockerode'
import type { BoxExit, BoxRecord, BoxRef, DriverCall, PoolIdentity } from '../driver.js'
import type { ErrorDetails, TenantBoxError } from '../errors.js'
import { toMessage } from '../text.js'
import type { Engine } from './engine.js'
import { refusalOf } from './engine-failure.js'
import { toRecord } from './records.js'
import { startFailed } from './start-failed.js'

type Phase = ErrorDetails['START_FAILED']['phase']

/** The engine said no, and why; `error` is that for whoever cannot live with it. */
export interface Refused {
  readonly status: number
  readonly message: string
  readonly error: unknown
}

/** Calls on single containers, with the engine's answers as values: "no such container" and "no" are not failures here. */
export class Containers {
  readonly engine: Engine
  readonly pool: PoolIdentity

  constructor(engine: Engine, pool: PoolIdentity) {
    this.engine = engine
    this.pool = pool
  }

  /** By id or exact name; undefined only when the engine says that there is none. */
  async inspect(idOrName: string, { signal }: DriverCall): Promise<Docker.ContainerInspectInfo | undefined> {
    try {
      return await this.engine.call(
        `inspect container ${idOrName}`,
        (client, abortSignal) => client.getContainer(idOrName).inspect({ abortSignal }),
        { signal },
      )
    } catch (error) {
      if (refusalOf(error)?.status === 404) return undefined
      throw error
    }
  }

  /** The record of a box that is still this pool's. */
  async record(ref: BoxRef, options: DriverCall): Promise<BoxRecord | undefined> {
    const container = await this.inspect(ref.id, options)
    return container && toRecord(this.pool, container)
  }

  /** Does something to a container; how the engine refused, if that is its answer. */
  async attempt(
    operation: string,
    ref: BoxRef,
    act: (container: Docker.Container, abortSignal: AbortSignal) => Promise<unknown>,
    options: DriverCall & { timeout?: number },
  ): Promise<Refused | undefined> {
    try {
      await this.engine.call(
        operation,
        (client, abortSignal) => act(client.getContainer(ref.id), abortSignal),
        options,
      )
      return undefined
    } catch (error) {
      const refusal = refusalOf(error)
      if (refusal) return { status: refusal.status, message: refusal.message, error }
      throw error
    }
  }

  /** Waits until a removal that is under way has ended. */
  async waitUntilRemoved(ref: BoxRef, options: DriverCall): Promise<void> {
    const refusal = await this.attempt(
      'finish the removal of a box',
      ref,
      (container, abortSignal) => container.wait({ condition: 'removed', abortSignal }),
      options,
    )
    if (refusal && refusal.status !== 404) throw refusal.error
  }
}

export function whose({ tenant }: Pick<BoxRef, 'tenant'>): string {
  return `tenant ${JSON.stringify(tenant)}`
}

/**
 * Work for one box. What the engine refuses, and nobody knew how to live with, is that box's failure: an engine that says
 * no is there, and all the others have it.
 */
export async function forBox<T>(tenant: string | undefined, phase: Phase, work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    const refusal = refusalOf(error)
    if (!refusal) throw error
    const said = toMessage(error)
    const message = tenant === undefined ? said : `For ${whose({ tenant })}: ${said}`
    throw startFailed(phase, message, {}, { tenant, cause: refusal })
  }
}

/** A box cannot do what was asked of it. */
export function boxFailed(
  ref: Pick<BoxRef, 'tenant'>,
  what: string,
  { phase, ...exit }: Partial<BoxExit> & { phase: Phase; lastLogs?: readonly string[] },
  cause?: unknown,
): TenantBoxError<'START_FAILED'> {
  return startFailed(phase, `The box of ${whose(ref)} ${what}`, exit, { tenant: ref.tenant, cause })
}

export function boxGone(ref: BoxRef): TenantBoxError<'START_FAILED'> {
  return boxFailed(ref, 'is gone: somebody removed it at the engine. Its next wake makes a new one.', {
    phase: 'start',
  })
}
