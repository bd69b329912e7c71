import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { BoxSpec, Driver } from '@tenantbox/core'
import { expect } from 'vitest'
import { demo } from '../src/demo.js'
import { table } from '../src/table.js'

export const AGENT = fileURLToPath(new URL('../agent', import.meta.url))

/** Plays the demo and checks what a visitor sees. */
export async function play(driver: Driver, box: BoxSpec): Promise<void> {
  const dataDir = await mkdtemp(join(tmpdir(), 'tenantbox-demo-'))
  const lines: string[] = []
  try {
    const wakes = await demo({
      driver,
      box,
      dataDir,
      print: (line) => lines.push(line),
      signal: AbortSignal.timeout(60_000),
    })
    expect(new Set(wakes.map(({ woken }) => woken))).toEqual(
      new Set(['created', 'from paused', 'from stopped', 'hot']),
    )
    expect(table(wakes).split('\n')).toHaveLength(wakes.length + 1)
  } finally {
    await rm(dataDir, { recursive: true })
  }
  expect(lines).toContain('12345678-a < - my cat is called Miso')
  expect(lines).toContain('12345678-b < - my dog is called Rex')
  expect(lines).toContain('12345678-a     asks the gateway, which has the key, for the model')
  expect(lines.filter((line) => line.endsWith('removing -> absent (shutdown)'))).toHaveLength(2)
}
