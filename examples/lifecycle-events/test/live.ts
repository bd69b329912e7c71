import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type BoxSpec, type Driver, TenantPool } from '@tenantbox/core'
import { liveThrough } from '../src/day.js'
import { timeline } from '../src/timeline.js'

/** Lives through the day, and returns the timeline without its times. */
export async function live(name: string, driver: Driver, box: BoxSpec): Promise<string[]> {
  const dataDir = await mkdtemp(join(tmpdir(), 'tenantbox-events-'))
  const lines: string[] = []
  try {
    const capacity = { maxRunning: 2, minUptime: 0 }
    await using pool = new TenantPool({ name, driver, dataDir, box, capacity, onClose: 'remove' })
    timeline(pool, (line) => lines.push(line.slice('123456 ms  '.length)))
    await liveThrough(pool, AbortSignal.timeout(60_000))
  } finally {
    await rm(dataDir, { recursive: true })
  }
  return lines
}

/** What carol's part of it comes to, wherever she lives. */
export const CAROLS_DAY = [
  'carol   absent -> creating (demand)',
  'carol   creating -> stopped (demand)',
  'carol   stopped -> starting (demand)',
  'carol   starting -> running (demand)',
  'carol   running -> pausing (requested)',
  'carol   pausing -> paused (requested)',
  'carol   paused -> resuming (demand)',
  'carol   resuming -> running (demand)',
  'carol   running -> stopping (requested)',
  'carol   stopping -> stopped (requested)',
  'carol   stopped -> removing (shutdown)',
  'carol   removing -> absent (shutdown)',
]
