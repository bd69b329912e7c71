import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ROOT } from '../setup/paths.mjs'
import { inSession } from '../setup/session.mjs'
import { DEFENCES } from './list.mjs'

/** @typedef {import('./list.mjs').Defence} Defence */
/** @typedef {{ fullName: string, status: string }} TestResult */

/** What the tests of core are run from; everything else is linked to. */
const COPIED = [
  'packages/core',
  'vitest.config.ts',
  'tsconfig.json',
  'tsconfig.base.json',
  'package.json',
  'docs',
  'scripts',
]

/** A test that fails for want of a protection may wait long for what does not come. In milliseconds. */
const TEST_TIMEOUT = 30_000

/** @param {string} copy */
function makeCopy(copy) {
  for (const path of COPIED)
    cpSync(join(ROOT, path), join(copy, path), {
      recursive: true,
      filter: (source) => !/\/(node_modules|dist)$/.test(source),
    })
  for (const path of ['node_modules', 'packages/core/node_modules', '.cache'])
    symlinkSync(join(ROOT, path), join(copy, path))
}

/**
 * @param {string} copy
 * @param {Defence} defence
 * @param {(...command: string[]) => Promise<number>} run
 * @returns {Promise<readonly TestResult[]>} what became of the tests that the defence names
 */
async function results(copy, { suite, test }, run) {
  const report = join(copy, 'report.json')
  rmSync(report, { force: true })
  const named = ['-t', test.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')]
  const options = ['--reporter=json', `--outputFile=${report}`, `--testTimeout=${TEST_TIMEOUT}`, '--silent']
  await run(
    'node',
    `${ROOT}/node_modules/vitest/vitest.mjs`,
    'run',
    '--root',
    copy,
    `packages/core/test/${suite}`,
    ...named,
    ...options,
  )
  const { testResults } = JSON.parse(readFileSync(report, 'utf8'))
  /** @type {TestResult[]} */
  const all = testResults.flatMap(
    (/** @type {{ assertionResults: TestResult[] }} */ file) => file.assertionResults,
  )
  return all.filter(({ status }) => status === 'passed' || status === 'failed')
}

/**
 * @param {string} copy
 * @param {Defence} defence
 * @param {(...command: string[]) => Promise<number>} run
 * @returns {Promise<string | undefined>} why the defence is not shown to be tested
 */
async function troubleWith(copy, defence, run) {
  const path = join(copy, defence.file)
  const source = readFileSync(path, 'utf8')
  const [before, after, ...more] = source.split(defence.from)
  if (after === undefined || more.length > 0)
    return `"${defence.from}" does not occur exactly once in ${defence.file}`
  try {
    const intact = await results(copy, defence, run)
    if (intact.length === 0) return `no test of ${defence.suite} is called so`
    if (intact.some(({ status }) => status === 'failed'))
      return 'the test fails though nothing was taken away'
    writeFileSync(path, before + defence.to + after)
    const without = await results(copy, defence, run)
    return without.some(({ status }) => status === 'failed') ? undefined : 'nothing fails without it'
  } finally {
    writeFileSync(path, source)
  }
}

await inSession({ extras: true }, async ({ missing, run }) => {
  if (missing) {
    console.error(['\n✗ No Docker engine:', ...missing].join('\n  - '))
    return 1
  }
  const words = process.argv.slice(2)
  const chosen = DEFENCES.filter(({ name }) => words.every((word) => name.includes(word)))
  const copy = mkdtempSync(join(tmpdir(), 'tenantbox-defences-'))
  let untested = 0
  try {
    makeCopy(copy)
    for (const defence of chosen) {
      const trouble = await troubleWith(copy, defence, run)
      if (trouble) untested++
      console.log(
        trouble
          ? `✗ ${defence.name}: ${trouble}`
          : `✓ without "${defence.name}" fails: ${defence.suite}: ${defence.test}`,
      )
    }
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
  console.log(`\n${chosen.length - untested} of ${chosen.length} defences are shown to be tested`)
  return untested === 0 ? 0 : 1
})
