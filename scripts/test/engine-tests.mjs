import { readdirSync } from 'node:fs'
import { ROOT } from '../setup/paths.mjs'

/** Tests that need a Docker engine say so by where they are, or by their name. */
export const ENGINE_TESTS = ['**/test/docker/**', '**/*.engine.test.ts']

/** @returns {string[]} the files of those tests */
export function engineTests() {
  const files = ['packages', 'examples'].flatMap((parent) =>
    readdirSync(`${ROOT}/${parent}`, { recursive: true, encoding: 'utf8' }).map(
      (path) => `${parent}/${path}`,
    ),
  )
  const tests = files.filter((path) => path.endsWith('.test.ts') && !path.includes('node_modules/'))
  return tests.filter((path) => path.includes('/test/docker/') || path.endsWith('.engine.test.ts')).sort()
}
