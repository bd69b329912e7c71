import { writeFileSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestClock } from '../../src/testing/index.js'
import { of, type Setup } from './helpers.js'

/** A box whose files may take 100 KiB. */
export const LIMITED = { image: 'agent:1', limits: { disk: '100k' } } as const

export const workspaceOf = ({ dataDir }: Setup, tenant: string): string => join(dataDir, tenant, 'workspace')

/** Writes a file into a tenant's workspace, by default one that is too large. */
export function fill(world: Setup, tenant: string, bytes = 200_000, name = 'big'): void {
  writeFileSync(join(workspaceOf(world, tenant), name), 'x'.repeat(bytes))
}

/** The quota events there were: whose, and whether it was over. */
export const quotas = ({ events }: Setup): unknown[] =>
  of(events, 'quota').map(({ tenant, over }) => [tenant, over])

/** Lets time pass until `promise` settles, each second of it long enough for a few real files to be looked at. */
export async function secondsUntil<T>(promise: Promise<T>, clock: TestClock): Promise<T> {
  let settled = false
  const done = (): void => {
    settled = true
  }
  promise.then(done, done)
  while (!settled) {
    await clock.advance(1_000)
    for (let i = 0; i < 10; i++) await stat('/')
  }
  return promise
}
