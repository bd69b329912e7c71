import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { find } from '../setup/commands.mjs'
import { ROOT } from '../setup/paths.mjs'
import { inSession } from '../setup/session.mjs'

/**
 * One mechanism, how to take it away, and the test that must notice. `from` must occur exactly once in `file`; `suite` is
 * below packages/core/test; `says`: what the failure must say, where a test has many ways to fail.
 * @typedef {{ name: string, file: string, from: string, to: string, suite: string, test: string, says?: string }} Mutation
 */

/** @typedef {{ fullName: string, status: string, failureMessages: string[] }} TestResult */

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

/** How long the tests of one mutation may take: some of them would never end. */
const LONGEST = '15m'

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
 * @param {Mutation} mutation
 * @param {(...command: string[]) => Promise<number>} run
 * @returns {Promise<readonly TestResult[]>} what became of the tests that the mutation names
 */
async function results(copy, { suite, test }, run) {
  const report = join(copy, 'report.json')
  rmSync(report, { force: true })
  const named = ['-t', test.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')]
  const options = ['--reporter=json', `--outputFile=${report}`, `--testTimeout=${TEST_TIMEOUT}`, '--silent']
  await run(
    ...(find('timeout') ? ['timeout', '--kill-after=10s', LONGEST] : []),
    'node',
    `${ROOT}/node_modules/vitest/vitest.mjs`,
    'run',
    '--root',
    copy,
    `packages/core/test/${suite}`,
    ...named,
    ...options,
  )
  // Without one vitest has not begun, or has not ended by itself.
  if (!existsSync(report)) return []
  const { testResults } = JSON.parse(readFileSync(report, 'utf8'))
  /** @type {TestResult[]} */
  const all = testResults.flatMap(
    (/** @type {{ assertionResults: TestResult[] }} */ file) => file.assertionResults,
  )
  return all.filter(({ status }) => status === 'passed' || status === 'failed')
}

/** Tests that pass with nothing taken away. @type {Set<string>} */
const passing = new Set()

/**
 * @param {string} copy
 * @param {Mutation} mutation
 * @param {(...command: string[]) => Promise<number>} run
 * @returns {Promise<string | undefined>} why the test cannot show anything
 */
async function troubleWhenIntact(copy, mutation, run) {
  const named = `${mutation.suite}: ${mutation.test}`
  if (passing.has(named)) return undefined
  const intact = await results(copy, mutation, run)
  if (intact.length === 0) return `no test of ${mutation.suite} that is called so has ended within ${LONGEST}`
  if (intact.some(({ status }) => status === 'failed')) return 'the test fails though nothing was taken away'
  passing.add(named)
  return undefined
}

/**
 * @param {string} copy
 * @param {Mutation} mutation
 * @param {(...command: string[]) => Promise<number>} run
 * @returns {Promise<{ trouble?: string, runs?: string }>} why the mechanism is not shown to be tested, or after how many
 * runs it was, where a test makes many
 */
async function troubleWith(copy, mutation, run) {
  const path = join(copy, mutation.file)
  const source = readFileSync(path, 'utf8')
  const [before, after, ...more] = source.split(mutation.from)
  if (after === undefined || more.length > 0)
    return { trouble: `"${mutation.from}" does not occur exactly once in ${mutation.file}` }
  try {
    const trouble = await troubleWhenIntact(copy, mutation, run)
    if (trouble) return { trouble }
    writeFileSync(path, before + mutation.to + after)
    const without = await results(copy, mutation, run)
    const failed = without.filter(({ status }) => status === 'failed')
    if (failed.length === 0) return { trouble: 'nothing fails without it' }
    const said = failed.flatMap(({ failureMessages }) => failureMessages).join('\n')
    if (!said.includes(mutation.says ?? '')) return { trouble: `it fails without saying "${mutation.says}"` }
    const runs = /failed after (\d+) tests/.exec(said)?.[1]
    return runs === undefined ? {} : { runs }
  } finally {
    writeFileSync(path, source)
  }
}

/**
 * Takes one mechanism after the other away, in a copy of this clone, and tells which test notices.
 *
 * @param {readonly Mutation[]} mutations
 * @param {{ what: string, words: readonly string[] }} options what they are called together, and which of them are meant
 */
export async function tryAll(mutations, { what, words }) {
  await inSession({ extras: true }, async ({ missing, run }) => {
    if (missing && process.env.TENANTBOX_NO_ENGINE !== '1') {
      console.error(['\n✗ No Docker engine:', ...missing].join('\n  - '))
      return 1
    }
    const chosen = mutations.filter(({ name }) => words.every((word) => name.includes(word)))
    if (chosen.length === 0) {
      console.error(`✗ None of the ${what} is called "${words.join(' ')}"`)
      return 1
    }
    const copy = mkdtempSync(join(tmpdir(), 'tenantbox-mutations-'))
    let unnoticed = 0
    try {
      makeCopy(copy)
      for (const mutation of chosen) {
        const { trouble, runs } = await troubleWith(copy, mutation, run)
        if (trouble) unnoticed++
        const noticedBy = mutation.says ?? `${mutation.suite}: ${mutation.test}`
        const after = runs === undefined ? '' : ` (after ${runs} runs)`
        console.log(
          trouble
            ? `✗ ${mutation.name}: ${trouble}`
            : `✓ without "${mutation.name}" fails: ${noticedBy}${after}`,
        )
      }
    } finally {
      rmSync(copy, { recursive: true, force: true })
    }
    console.log(`\n${chosen.length - unnoticed} of ${chosen.length} ${what} are shown to be tested`)
    return unnoticed === 0 ? 0 : 1
  })
}
