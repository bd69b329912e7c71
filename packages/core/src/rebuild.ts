import type { Clock } from './clock.js'
import type { BoxRef, Driver } from './driver.js'
import type { EngineConnection } from './engine.js'
import { isTenantBoxError } from './errors.js'
import type { BoxPlan, Phases } from './plan.js'
import type { Tenant } from './tenant.js'
import { toMessage } from './text.js'
import type { WarningCode } from './warnings.js'

/** What rebuilding needs of the pool. */
interface RebuildHost {
  readonly clock: Clock
  readonly driver: Driver
  readonly engine: Pick<EngineConnection, 'epoch' | 'relistSoon'>
  warn(code: WarningCode, message: string, about: { tenant: string; cause?: unknown }): void
}

/** Makes a tenant's box if there is none, starts it, and waits until it is ready. */
type BringUp = (tenant: Tenant, plan: BoxPlan, phases: Phases, signal: AbortSignal) => Promise<void>

/** For how long no box is rebuilt to a spec that just failed. */
const REFUSED_MS = 5 * 60_000

/** Makes boxes anew whose spec has changed. */
export class Rebuilder {
  readonly #host: RebuildHost
  readonly #bringUp: BringUp
  /** Specs that a rebuild failed with, and until when nobody tries them again. */
  readonly #refused = new Map<string, number>()

  constructor(host: RebuildHost, bringUp: BringUp) {
    this.#host = host
    this.#bringUp = bringUp
  }

  /** Forgets which specs failed: somebody says that they are mended. */
  forgive(): void {
    this.#refused.clear()
  }

  /** Whether a rebuild to this spec failed a short while ago. */
  isRefused(hash: string): boolean {
    const until = this.#refused.get(hash)
    if (until === undefined || until > this.#host.clock.monotonic()) return until !== undefined
    this.#refused.delete(hash)
    return false
  }

  /** Makes the box anew, keeping the old one aside until the new one is ready. */
  async rebuild(tenant: Tenant, plan: BoxPlan, phases: Phases, signal: AbortSignal): Promise<void> {
    const { driver, clock, engine } = this.#host
    const { epoch } = engine
    const old = tenant.box
    const oldSpec = tenant.spec
    if (!old) throw new Error(`nothing to rebuild for ${tenant.slug}`)
    tenant.transition('removing', 'drift')
    try {
      await driver.setAside(old)
      tenant.box = undefined
      tenant.transition('absent', 'drift')
    } catch (error) {
      tenant.doubt()
      tenant.transition('stopped', 'drift')
      throw error
    }
    try {
      // Somebody may have started it since the engine was asked: never two at a time.
      await driver.stop(old, { graceMs: plan.spec.stopGraceMs })
      await this.#bringUp(tenant, plan, phases, signal)
    } catch (error) {
      await this.#undo(tenant, old, oldSpec)
      if (signal.aborted || isTenantBoxError(error, 'ENGINE_UNAVAILABLE')) throw error
      // It may well have failed with an engine that was away.
      if (epoch === engine.epoch) this.#refused.set(plan.hash, clock.monotonic() + REFUSED_MS)
      this.#host.warn(
        'REBUILD_FAILED',
        `The new spec of tenant ${JSON.stringify(tenant.id)}'s box did not become ready; the old box goes on. ${toMessage(error)}`,
        { tenant: tenant.id, cause: error },
      )
      tenant.failures = 0
      return this.#bringUp(tenant, plan, phases, signal)
    }
    await this.#removeOld(tenant, old)
  }

  /** The new box serves already, whatever becomes of the old one. */
  async #removeOld(tenant: Tenant, old: BoxRef): Promise<void> {
    try {
      await this.#host.driver.remove(old)
    } catch (cause) {
      if (isTenantBoxError(cause, 'ENGINE_UNAVAILABLE')) throw cause
      this.#host.engine.relistSoon()
      this.#host.warn(
        'REBUILD_NOT_ENDED',
        `The box that tenant ${JSON.stringify(tenant.id)} had before could not be removed, which is tried again later. ${toMessage(cause)}`,
        { tenant: tenant.id, cause },
      )
    }
  }

  async #undo(tenant: Tenant, old: BoxRef, oldSpec: string | undefined): Promise<void> {
    const { driver } = this.#host
    try {
      if (tenant.box) {
        tenant.transition('removing', 'drift')
        await driver.remove(tenant.box)
        tenant.box = undefined
        tenant.transition('absent', 'drift')
      }
      // Its making may have gone through unheard.
      const unheard = await driver.find(tenant.slug)
      if (unheard) await driver.remove(unheard.ref)
      await driver.restore(old)
      tenant.box = old
      tenant.spec = oldSpec
      tenant.drifted = true
      tenant.transition('stopped', 'drift')
    } catch (error) {
      tenant.doubt()
      if (tenant.state === 'removing') tenant.transition('stopped', 'drift')
      // Whoever finds a box set aside ends what was begun.
      this.#host.engine.relistSoon()
      throw error
    }
  }
}
