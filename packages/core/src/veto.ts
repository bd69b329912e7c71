import { orAbort } from './abort.js'
import type { Clock } from './clock.js'
import type { ResolvedIdle } from './options.js'
import type { Life, Tenant } from './tenant.js'
import type { TenantBox } from './tenant-box.js'
import { toMessage } from './text.js'
import { deadline } from './wait.js'
import type { WarningCode } from './warnings.js'

/** How long an app has for its answer to what it is asked about a box that is to sleep. */
export const ANSWER_MS = 5_000
/** How long an agent keeps its box awake by its own word. */
const BUSY_MS = 60 * 60_000

/** What asking for vetoes needs of the pool. */
export interface VetoHost {
  readonly clock: Clock
  idleOf(tenant: Tenant): ResolvedIdle
  /** A handle whose use is no activity. */
  observer(life: Life): TenantBox
  /** Whether the agent itself says that it is busy. */
  isBusy(life: Life, signal: AbortSignal): Promise<boolean>
  warn(code: WarningCode, message: string, about: { tenant: string; cause?: unknown }): void
}

/** Those who are asked before a box is put to sleep on the pool's own account: the app's `idle.veto`, and the agent. */
export class Vetoes {
  readonly #host: VetoHost
  readonly #closing: AbortSignal

  /** @param closing aborts when nobody's answer is waited for any longer */
  constructor(host: VetoHost, closing: AbortSignal) {
    this.#host = host
    this.#closing = closing
  }

  /** Asks the app and the agent, within a deadline; who cannot answer has no say. */
  async objectTo(tenant: Tenant): Promise<boolean> {
    const { life } = tenant
    if (!life || tenant.state !== 'running') return false
    const { veto } = this.#host.idleOf(tenant)
    const bound = deadline(this.#host.clock, 'idle.veto', {
      signal: this.#closing,
      timeout: ANSWER_MS,
      tenant: tenant.id,
    })
    try {
      if (
        veto &&
        (await orAbort(Promise.resolve(veto(this.#host.observer(life), bound.signal)), bound.signal))
      )
        return true
      return (await this.#host.isBusy(life, bound.signal)) && this.#believes(life)
    } catch (cause) {
      if (this.#closing.aborted) return true
      this.#host.warn(
        'VETO_FAILED',
        `The idle veto for tenant ${JSON.stringify(tenant.id)} failed, and counts as none: ${toMessage(cause)}`,
        {
          tenant: tenant.id,
          cause,
        },
      )
      return false
    } finally {
      bound.done()
    }
  }

  /** Whether what an agent says of itself counts: not for ever, or one could keep its box awake for good. */
  #believes(life: Life): boolean {
    const now = this.#host.clock.monotonic()
    life.busySince ??= now
    if (now - life.busySince < BUSY_MS) return true
    this.#host.warn(
      'BUSY_TOO_LONG',
      `The agent of tenant ${JSON.stringify(life.tenantId)} has said for an hour that it is busy, with nobody using its box; it may be put to sleep now. For longer work hold a lease, or say so with idle.veto.`,
      { tenant: life.tenantId },
    )
    return false
  }
}
