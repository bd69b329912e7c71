import { quietly } from '../setup/commands.mjs'
import { ROOT } from '../setup/paths.mjs'
import { prepareClone } from '../setup/preparation.mjs'
import { printFailure, SetupError, step } from '../setup/terminal.mjs'
import { PUBLISHED } from '../setup/workspace.mjs'
import { codes } from './codes.mjs'
import { links } from './documents.mjs'
import { hostNames } from './host-names.mjs'
import { forbiddenImports } from './imports.mjs'
import { packedPackages } from './packages.mjs'

/** @param {string[]} command */
const tool = (...command) => {
  const [name = '', ...args] = command
  return () => quietly(`node_modules/.bin/${name}`, args, { cwd: ROOT })
}

const SOURCES = [
  'packages/core/src',
  'packages/workspace/src',
  'packages/telegram/src',
  'examples/quickstart/src',
  'examples/lifecycle-events/src',
  'examples/telegram-companion/src',
]

/** @type {Record<string, () => Promise<unknown>>} */
const CHECKS = {
  'types of the packages, tests and examples': tool('tsc', '--noEmit'),
  'types of the scripts': tool('tsc', '--noEmit', '--project', 'scripts'),
  'lint and format': tool('biome', 'check', '--error-on-warnings', '.'),
  'no import cycle': tool(
    'madge',
    '--circular',
    '--extensions',
    'ts',
    '--ts-config',
    'tsconfig.json',
    ...SOURCES,
  ),
  'nothing unused': tool('knip'),
  'who imports whom': forbiddenImports,
  'no registry named': hostNames,
  'no broken link': links,
  'every error and warning explained': codes,
  'the packages as they are published': packedPackages,
}

/** @returns {Promise<number>} the exit code */
export async function main() {
  const wanted = process.argv.slice(2)
  await prepareClone({ build: PUBLISHED }, { kind: 'none', reasons: [] }, new AbortController().signal)
  let failed = 0
  for (const [name, check] of Object.entries(CHECKS)) {
    if (wanted.length > 0 && !wanted.some((word) => name.includes(word))) continue
    try {
      await check()
      step(`${name}: fine`)
    } catch (error) {
      failed++
      printFailure(error instanceof SetupError ? new SetupError(`${name}\n${error.message}`) : error)
    }
  }
  console.log(failed === 0 ? '\nAll checks passed.' : `\n${failed} of the checks failed.`)
  return failed === 0 ? 0 : 1
}
