import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import { demo } from '../../src/demo/demo.js'
import type { Boxes } from '../../src/demo/telegram.js'
import { table } from '../../src/demo/wakes.js'

/** Plays the demo and checks what a visitor sees. */
export async function playDemo(boxes: Boxes): Promise<void> {
  const dataDir = await mkdtemp(join(tmpdir(), 'companion-demo-'))
  const lines: string[] = []
  try {
    const signal = AbortSignal.timeout(100_000)
    const wakes = await demo({ boxes, dataDir, print: (line) => lines.push(line), signal })
    expect(wakes.filter(({ woken }) => woken === 'made').map(({ chat }) => chat)).toEqual(['Anna', 'Ben'])
    expect(wakes.map(({ woken }) => woken)).toContain('woken from stopped')
    expect(table(wakes).split('\n')).toHaveLength(wakes.length + 1)
  } finally {
    await rm(dataDir, { recursive: true })
  }
  const left = lines.map((line) => line.split('│')[0] ?? '')
  const right = lines.map((line) => line.split('│')[1] ?? '')
  expect(left.join()).toContain('⏰ stretch')
  expect(left.join()).toContain('Miso')
  expect(left.join()).not.toContain('Rex')
  expect(right.join()).toContain('Rex')
  expect(right.join()).not.toContain('Miso')
}
