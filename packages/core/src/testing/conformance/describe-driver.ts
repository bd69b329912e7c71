import { DriverBench } from './bench.js'
import { leaving } from './leaving.js'
import { living } from './living.js'
import { making } from './making.js'
import { running } from './running.js'
import type { DriverSubject, TestContext, TestRunner } from './subject.js'
import { telling } from './telling.js'

const SECTIONS = {
  'making boxes': making,
  'their lives': living,
  'events, logs and statistics': telling,
  'commands inside': running,
  'giving up and closing': leaving,
} as const

/**
 * Declares the tests that tell whether a driver keeps the contract of `Driver`: one for each thing that a pool relies
 * on. It asserts with `node:assert`, so any test runner with `describe` and `it` will do.
 *
 * @param make Makes a fresh driver and data folder for each test.
 * @example
 * import { describe, it } from 'vitest'
 * describeDriver('docker', makeSubject, { describe, it })
 */
export function describeDriver(name: string, make: () => Promise<DriverSubject>, runner: TestRunner): void {
  const test = (title: string, body: (bench: DriverBench, context: TestContext) => Promise<void>): void => {
    runner.it(title, async (context) => {
      const bench = await DriverBench.open(await make())
      try {
        await body(bench, context)
      } finally {
        await bench.close()
      }
    })
  }
  runner.describe(`the ${name} driver keeps the contract:`, () => {
    for (const [title, section] of Object.entries(SECTIONS)) runner.describe(title, () => section(test))
  })
}
