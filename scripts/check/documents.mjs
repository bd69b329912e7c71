import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { find, quietly } from '../setup/commands.mjs'
import { ROOT } from '../setup/paths.mjs'
import { step } from '../setup/terminal.mjs'

/**
 * Compiles what the documents show in TypeScript.
 *
 * @param {string} project where the packages are installed
 */
export async function compileDocuments(project) {
  const blocks = ['README.md', 'docs/mailbox.md'].flatMap((document) => blocksOf(document, 'ts'))
  for (const [index, code] of blocks.entries())
    writeFileSync(join(project, `block-${index}.ts`), asModule(code))
  await quietly(join(project, 'node_modules/.bin/tsc'), ['--project', project], { cwd: project })
}

/**
 * Runs the README's first example: with the driver for tests, and with each of its agents as the README runs them where there is
 * no engine. All else is to the letter.
 *
 * @param {string} project where the packages are installed
 */
export async function runReadme(project) {
  const blocks = blocksOf('README.md', 'ts')
  const [example = ''] = blocks
  const local = blocks.find((code) => code.includes('const local =')) ?? ''
  const inMemory = example.replace(
    "import { docker } from '@tenantbox/core/docker'",
    "import { memoryDriver as docker } from '@tenantbox/core/testing'",
  )
  await says('hello', join(project, 'memory'), inMemory)
  const locally = `${local}\n${example}`
    .replace(/ {2}driver: docker.*\n/, '')
    .replace(/ {2}box: .*\n/, '  ...local,\n')
  for (const [program, language, file] of AGENTS) {
    const folder = join(project, language)
    if (!find(program)) step(`The README's agent in ${language} is not run: there is no ${program} here.`)
    else
      await says(
        'You said: hello',
        folder,
        locally.replace("'node'", `'${program}'`).replace('agent.mjs', file),
        {
          [file]: blocksOf('README.md', language)[0] ?? '',
        },
      )
  }
}

const AGENTS = /** @type {const} */ ([
  ['node', 'js', 'agent.mjs'],
  ['python3', 'python', 'agent.py'],
])

/**
 * @param {string} expected what it writes in the end
 * @param {string} folder to run it in
 * @param {string} code
 * @param {Record<string, string>} [files] by name, what else is there
 */
async function says(expected, folder, code, files = {}) {
  mkdirSync(folder)
  for (const [name, text] of Object.entries({ ...files, 'example.mjs': code }))
    writeFileSync(join(folder, name), text)
  const said = await quietly('node', ['example.mjs'], { cwd: folder })
  if (!said.endsWith(expected))
    throw new Error(
      `The README's first example printed ${JSON.stringify(said)}, not ${JSON.stringify(expected)}.`,
    )
}

/**
 * @param {string} document
 * @param {string} language
 * @returns {string[]} what it shows in that language
 */
function blocksOf(document, language) {
  const text = readFileSync(join(ROOT, document), 'utf8')
  return [...text.matchAll(/```(\w+)\n([\s\S]*?)```/g)].flatMap(([, name, code = '']) =>
    name === language ? [code] : [],
  )
}

/**
 * A block by itself, with what the text around it presumes.
 *
 * @param {string} code
 */
function asModule(code) {
  const presumed = Object.entries(PRESUMED).filter(([made]) => !code.includes(made))
  return `${presumed.map(([, declarations]) => declarations).join('\n')}\n${code}\nexport {}\n`
}

/** By what a block has in it that makes its own. */
const PRESUMED = {
  'new TenantPool': `declare const pool: import('@tenantbox/core').TenantPool
declare function callTheModel(body: unknown, context: { tenant: string; signal: AbortSignal }): Promise<unknown>
declare function log(...words: unknown[]): void
declare function userOf(request: import('node:http').IncomingMessage): string | undefined
declare const metrics: { wake(...values: unknown[]): void }`,
  'new Mailbox': `declare const mailbox: import('@tenantbox/core').Mailbox<{ text: string }>`,
}
