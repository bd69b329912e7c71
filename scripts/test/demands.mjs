import { readdirSync } from 'node:fs'
import { ROOT } from '../setup/paths.mjs'

/** What some tests need, and say that they do by where they are or how they are called. */
const DEMANDS = /** @type {const} */ ([
  { needs: 'a Docker engine', pattern: /\/test\/(docker|engine|faults|isolation)\/|\.engine\.test\.ts$/ },
  { needs: 'root', pattern: /\.root\.test\.ts$/ },
])

/** @returns {{ file: string, needs: 'a Docker engine' | 'root' }[]} by their path in this repository */
export function demandingTests() {
  return DEMANDS.flatMap(({ needs, pattern }) =>
    testFiles()
      .filter((file) => pattern.test(file))
      .map((file) => ({ file, needs })),
  )
}

/** @returns {string[]} */
function testFiles() {
  const folders = ['packages', 'examples'].flatMap((parent) =>
    readdirSync(`${ROOT}/${parent}`).map((name) => `${parent}/${name}/test`),
  )
  return folders.flatMap((folder) =>
    readdirSync(`${ROOT}/${folder}`, { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.test.ts'))
      .map((path) => `${folder}/${path}`),
  )
}
