import type { Clock } from './clock.js'
import type { BoxRef, Driver } from './driver.js'
import type { GatewaySockets } from './gateway-socket.js'
import type { Settings } from './options.js'
import type { Life, Tenant } from './tenant.js'
import type { TenantDirs } from './tenant-dirs.js'
import { toMessage } from './text.js'
import { openTransport } from './transport.js'
import type { WarningCode } from './warnings.js'

/** What beginning a life needs of the pool. */
export interface LivesHost {
  readonly clock: Clock
  readonly driver: Pick<Driver, 'dial'>
  readonly dirs: Pick<TenantDirs, 'folders'>
  readonly gateway: Pick<GatewaySockets, 'open' | 'close'>
  readonly settings: Settings
  warn(code: WarningCode, message: string, about: { tenant: string; cause?: unknown }): void
}

/** Opens and closes what a life has beside its box: the way to its agent, and the agent's way to the gateway. */
export class Lives {
  readonly #host: LivesHost

  constructor(host: LivesHost) {
    this.#host = host
  }

  /** Opens the way from the box to the gateway: before it starts, so that its agent finds it. */
  async listen(tenant: Tenant): Promise<void> {
    const { gateway, dirs } = this.#host
    await gateway.open(tenant.id, dirs.folders(tenant.slug).gateway)
  }

  begin(tenant: Tenant, box: BoxRef, startedAt: number): Life {
    const { clock, driver, settings } = this.#host
    const { connect, firstByte, silence } = settings.timeouts
    const transport = openTransport({
      tenant: tenant.id,
      dial: (signal) => driver.dial(box, { signal }),
      timeouts: { connect, firstByte, silence },
      clock,
    })
    return tenant.beginLife(box, startedAt, transport)
  }

  /** Begins a life that somebody else started. */
  async takeOver(tenant: Tenant, box: BoxRef, startedAt: number): Promise<void> {
    try {
      await this.listen(tenant)
    } catch (cause) {
      // It lives all the same, and must be known to.
      this.#host.warn(
        'GATEWAY_CLOSED',
        `The box of tenant ${JSON.stringify(tenant.id)} was taken over, but cannot reach the gateway before its next start: ${toMessage(cause)}`,
        { tenant: tenant.id, cause },
      )
    }
    this.begin(tenant, box, startedAt)
  }

  /** The box of this tenant lives no more. */
  ended(tenant: Tenant): void {
    void this.#host.gateway.close(tenant.id)
  }
}
