import { existsSync, readdirSync } from 'node:fs'
import { ROOT } from '../setup/paths.mjs'

/** What some tests need, and say that they do by where they are or how they are called. */
const DEMANDS = /** @type {const} */ ([
  { needs: 'a Docker engine', pattern: /\/test\/(docker|engine|faults|isolation)\/|\.engine\.test\.ts$/ },
  { needs: 'root', pattern: /\.root\.test\.ts$/ },
  { needs: 'Chromium', pattern: /\.browser\.test\.ts$/ },
])

/** @typedef {typeof DEMANDS[number]['needs']} Need */

/**
 * @param {(need: Need) => boolean} isThere
 * @returns {{ file: string, lacks: string }[]} the tests that cannot be run here, by their path in this repository
 */
export function impossibleTests(isThere) {
  const lacking = DEMANDS.filter(({ needs }) => !isThere(needs))
  return testFiles().flatMap((file) => {
    const lacks = lacking.filter(({ pattern }) => pattern.test(file)).map(({ needs }) => needs)
    return lacks.length > 0 ? [{ file, lacks: lacks.join(' and ') }] : []
  })
}

/** @returns {string[]} */
function testFiles() {
  const folders = ['packages', 'examples'].flatMap((parent) =>
    readdirSync(`${ROOT}/${parent}`).map((name) => `${parent}/${name}/test`),
  )
  const present = folders.filter((folder) => existsSync(`${ROOT}/${folder}`))
  return present.flatMap((folder) =>
    readdirSync(`${ROOT}/${folder}`, { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.test.ts'))
      .map((path) => `${folder}/${path}`),
  )
}
