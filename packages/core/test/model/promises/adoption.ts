import { statSync } from 'node:fs'
import { join } from 'node:path'
import { slugOf } from '../../../src/identity.js'
import { TENANTS } from '../conditions.js'
import type { World } from '../world.js'
import type { KeptPromise } from './promise.js'

const LATE = 5_000
/** How exactly a file remembers its date. */
const EXACT = 1

export const adoption: KeptPromise = {
  title: '6 a new process adopts every box, with its last activity at most 5 s old',

  watch(world, broken) {
    const { watchers, engine, strangers, clock, callers } = world
    let crashedAt = Number.POSITIVE_INFINITY
    watchers.crashing.push(() => {
      crashedAt = clock.monotonic()
      for (const tenant of TENANTS) {
        const noted = idleOnDisk(world, tenant)
        if (noted !== undefined) inTime(tenant, noted, 'its folder says')
      }
      // The next process cannot know better, however often it crashes.
      callers.uses.crashed(crashedAt - LATE)
    })
    watchers.opened.push(({ pool }) => {
      for (const box of engine.boxes) {
        if (strangers.includes(box)) continue
        const info = pool.get(box.tenant)
        if (info) inTime(box.tenant, clock.now() - info.lastActivity, 'it was adopted as idle for')
        else broken(`${box.name} (${box.state}) was not adopted`)
      }
    })
    const inTime = (tenant: string, idle: number, says: string): void => {
      const now = clock.monotonic()
      const last = callers.uses.lastUntil(tenant, Math.min(now, crashedAt) - LATE)
      if (last !== undefined && idle > now - last + EXACT)
        broken(`${tenant} was used ${now - last} ms ago, and ${says} ${idle} ms`)
    }
  },
}

/** How long ago the tenant was active, as a new process would read it. */
function idleOnDisk({ host, clock }: World, tenant: string): number | undefined {
  const stats = statSync(join(host.dataDir, slugOf(tenant), 'tenant.json'), { throwIfNoEntry: false })
  return stats && clock.now() - stats.mtimeMs
}
