import type { Admission } from './admission.js'
import type { Clock } from './clock.js'
import { crashBackoff } from './crash-loop.js'
import type { Driver } from './driver.js'
import type { EngineConnection } from './engine.js'
import { isTenantBoxError, TenantBoxError } from './errors.js'
import type { Launcher } from './launch.js'
import type { PoolEvents, SettledState } from './lifecycle.js'
import { noPhases, type Phases } from './plan.js'
import type { Reconciler } from './reconcile.js'
import { SharedFlight } from './shared-flight.js'
import type { Life, Tenant } from './tenant.js'

/** What waking needs of the pool. */
export interface WakeHost {
  readonly clock: Clock
  readonly driver: Pick<Driver, 'resume'>
  readonly admission: Pick<Admission, 'admit'>
  readonly engine: Pick<EngineConnection, 'epoch' | 'state' | 'lost' | 'whenUp'>
  readonly reconciler: Pick<Reconciler, 'refresh'>
  readonly launcher: Pick<Launcher, 'launch' | 'confirm'>
  settle(tenant: Tenant): void
  ready(event: PoolEvents['ready']): void
}

/** Makes boxes ready, from any state: one flight per tenant, joined by every caller. */
export class Waker {
  readonly #host: WakeHost

  constructor(host: WakeHost) {
    this.#host = host
  }

  /** Whether the box is running, ready, and known to be so without asking the engine. */
  isAwake(tenant: Tenant): boolean {
    return (
      tenant.state === 'running' && tenant.life?.ready === true && tenant.knownIn === this.#host.engine.epoch
    )
  }

  /** Resolves when the box runs and is ready. When the last caller gives up, so does the flight. */
  wake(tenant: Tenant, signal: AbortSignal | undefined): Promise<void> {
    if (!tenant.flight || tenant.flight.abandoned) {
      const flight: SharedFlight<void> = new SharedFlight((aborted) =>
        this.#fly(tenant, aborted).finally(() => {
          if (tenant.flight === flight) tenant.flight = undefined
          this.#host.settle(tenant)
        }),
      )
      tenant.flight = flight
    }
    return tenant.flight.join(signal)
  }

  /** Resumes this very life if it is paused, and no other. @throws TenantBoxError `STALE_BOX` */
  async resume(tenant: Tenant, life: Life): Promise<void> {
    await tenant.serial.run(async () => {
      if (life.end) throw life.staleError()
      if (tenant.state === 'paused') await this.#resume(tenant)
    })
  }

  /** An engine that is away is waited for; anything else is the callers'. */
  async #fly(tenant: Tenant, signal: AbortSignal): Promise<void> {
    // The flight must be known before anything of it runs.
    await Promise.resolve()
    const { clock, engine, admission } = this.#host
    const began = clock.monotonic()
    const phases = noPhases()
    await engine.whenUp(signal, async () => {
      const waiting = clock.monotonic()
      await admission.admit(tenant, signal)
      phases.queue += clock.monotonic() - waiting
      await tenant.serial.run(() => this.#makeReady(tenant, phases, began, signal))
    })
  }

  async #makeReady(tenant: Tenant, phases: Phases, began: number, signal: AbortSignal): Promise<void> {
    const { clock, reconciler, launcher } = this.#host
    signal.throwIfAborted()
    await reconciler.refresh(tenant, signal)
    const from = tenant.state as SettledState
    if (this.isAwake(tenant)) return
    if (tenant.state === 'paused') {
      const resuming = clock.monotonic()
      await this.#resume(tenant)
      phases.start += clock.monotonic() - resuming
    }
    // A box taken over from an earlier process, or one that failed to answer, has yet to show that it is ready.
    if (tenant.state === 'running' && tenant.life?.ready !== true)
      await launcher.confirm(tenant, phases, signal)
    if (tenant.state === 'stopped' || tenant.state === 'absent') {
      assertNoCrashLoop(tenant, clock.monotonic())
      await launcher.launch(tenant, phases, signal)
    }
    if (from === 'running') return
    this.#host.ready({
      tenant: tenant.id,
      at: clock.now(),
      generation: tenant.generation,
      from,
      ms: clock.monotonic() - began,
      phases,
    })
  }

  async #resume(tenant: Tenant): Promise<void> {
    const { driver, engine } = this.#host
    const { box } = tenant
    if (!box) throw new Error(`${tenant.slug} is paused without a box`)
    tenant.transition('resuming', 'demand')
    try {
      await driver.resume(box)
      tenant.transition('running', 'demand')
    } catch (error) {
      tenant.doubt()
      if (isTenantBoxError(error, 'ENGINE_UNAVAILABLE')) engine.lost(error)
      tenant.transition('paused', 'demand')
      throw error
    }
  }
}

function assertNoCrashLoop(tenant: Tenant, now: number): void {
  const retryIn = crashBackoff(tenant.failures, now - tenant.failedAt)
  if (retryIn === 0) return
  const exit = tenant.lastExit ?? { oom: false, lastLogs: [] }
  throw new TenantBoxError(
    'CRASH_LOOP',
    `The box of tenant ${JSON.stringify(tenant.id)} failed ${tenant.failures} times in a row; the next start is allowed in ${Math.ceil(retryIn / 1000)} s. See details.lastLogs for what it said.`,
    { ...exit, attempts: tenant.failures, retryIn },
    { tenant: tenant.id, retryAfter: retryIn },
  )
}
