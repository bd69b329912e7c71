import { readdirSync } from 'node:fs'
import { ROOT } from '../setup/paths.mjs'

/** Tests that need a Docker engine say so by the folder they are in, or by their name. */
const FOLDERS = ['docker', 'engine', 'faults', 'isolation']

export const ENGINE_TESTS = [...FOLDERS.map((folder) => `**/test/${folder}/**`), '**/*.engine.test.ts']

/** @returns {string[]} the files of those tests */
export function engineTests() {
  const files = ['packages', 'examples'].flatMap((parent) =>
    readdirSync(`${ROOT}/${parent}`, { recursive: true, encoding: 'utf8' }).map(
      (path) => `${parent}/${path}`,
    ),
  )
  return files
    .filter((path) => path.endsWith('.test.ts') && !path.includes('node_modules/') && needsEngine(path))
    .sort()
}

/** @param {string} path */
function needsEngine(path) {
  return path.endsWith('.engine.test.ts') || FOLDERS.some((folder) => path.includes(`/test/${folder}/`))
}
