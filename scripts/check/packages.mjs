import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { find, quietly } from '../setup/commands.mjs'
import { ROOT } from '../setup/paths.mjs'
import { SetupError, step } from '../setup/terminal.mjs'
import { PUBLISHED, readManifest } from '../setup/workspace.mjs'
import { modules, snippetsOf } from './snippets.mjs'

const TSCONFIG = {
  compilerOptions: {
    target: 'ES2023',
    lib: ['ES2023', 'ESNext.Disposable', 'DOM'],
    module: 'NodeNext',
    strict: true,
    exactOptionalPropertyTypes: true,
    noEmit: true,
    types: ['node'],
  },
}

/** Packs every package, lints the tarballs, and uses them in an empty project as a user would. */
export async function packedPackages() {
  const folder = mkdtempSync(join(tmpdir(), 'tenantbox-packages-'))
  try {
    const tarballs = []
    for (const name of PUBLISHED) {
      const dir = join(ROOT, 'packages', name.replace('@tenantbox/', ''))
      tarballs.push(await pack(dir, folder))
    }
    for (const tarball of tarballs) {
      await quietly(join(ROOT, 'node_modules/.bin/publint'), ['run', '--strict', tarball], { cwd: ROOT })
      await quietly(join(ROOT, 'node_modules/.bin/attw'), ['--profile', 'esm-only', tarball], { cwd: ROOT })
    }
    await useAsAUser(folder, tarballs)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/**
 * @param {string} dir
 * @param {string} folder
 */
async function pack(dir, folder) {
  const { packageManager = '' } = readManifest(ROOT)
  await quietly('npx', ['--yes', packageManager, 'pack', '--pack-destination', folder], { cwd: dir })
  const { name } = readManifest(dir)
  const start = name.replace('@', '').replace('/', '-')
  const [tarball] = readdirSync(folder).filter((file) => file.startsWith(start) && file.endsWith('.tgz'))
  if (tarball === undefined) throw new Error(`pnpm packed nothing for ${name}`)
  return join(folder, tarball)
}

/**
 * Installs the tarballs in an empty project, compiles the documents' TypeScript against them, and runs what they show whole.
 *
 * @param {string} folder
 * @param {readonly string[]} tarballs
 */
async function useAsAUser(folder, tarballs) {
  const project = join(folder, 'project')
  mkdirSync(project)
  const { devDependencies = {} } = readManifest(ROOT)
  const tools = ['typescript', '@types/node'].map((name) => `${name}@${devDependencies[name]}`)
  writeFileSync(join(project, 'package.json'), JSON.stringify({ private: true, type: 'module' }))
  writeFileSync(join(project, 'tsconfig.json'), JSON.stringify(TSCONFIG))
  await quietly('npm', ['install', '--no-audit', '--no-fund', '--silent', ...tarballs, ...tools], {
    cwd: project,
  })
  // grammY's types name it, and come without its types.
  writeFileSync(join(project, 'node-fetch.d.ts'), "declare module 'node-fetch'\n")
  for (const { name, code } of modules()) writeFileSync(join(project, name), code)
  await quietly(join(project, 'node_modules/.bin/tsc'), ['--project', project], { cwd: project })
  await runExamples(project)
}

/** @param {string} project */
async function runExamples(project) {
  const [first = ''] = snippetsOf('README.md', 'ts')
  // On a machine without containers: the driver is the one for tests, the rest is to the letter.
  const example = first.replace(
    "import { docker } from '@tenantbox/core/docker'",
    "import { memoryDriver as docker } from '@tenantbox/core/testing'",
  )
  await says(project, 'hello', 'node', write(project, 'example.mjs', example))

  const [, bot = ''] = snippetsOf('packages/telegram/README.md', 'ts')
  await quietly('node', [write(project, 'bot.mjs', bot)], { cwd: project })

  const talk = write(project, 'talk.mjs', TALK)
  for (const document of ['README.md', 'docs/agent-contract.md']) {
    const [inNode = ''] = snippetsOf(document, 'js')
    await says(project, 'You said: hello', 'node', talk, 'node', write(project, 'agent.mjs', inNode))
    if (find('python3') === undefined) {
      step(`the agent in Python of ${document} is not run: there is no python3`)
      continue
    }
    const [inPython = ''] = snippetsOf(document, 'python')
    await says(project, 'You said: hello', 'node', talk, 'python3', write(project, 'agent.py', inPython))
  }
}

/** Says hello to an agent, in a process. */
const TALK = `import { TenantPool } from '@tenantbox/core'
import { processDriver } from '@tenantbox/core/process'

const box = { image: 'none', command: process.argv.slice(2) }
const pool = new TenantPool({ name: 'readme', driver: processDriver(), dataDir: './agents', box, onClose: 'remove' })
try {
  process.stdout.write(await pool.send('user-42', 'hello').text())
} finally {
  await pool.close()
}
`

/**
 * @param {string} project
 * @param {string} name
 * @param {string} code
 * @returns {string} its path
 */
function write(project, name, code) {
  const path = join(project, name)
  writeFileSync(path, code)
  return path
}

/**
 * @param {string} project
 * @param {string} expected the last that the command prints
 * @param {string[]} command
 */
async function says(project, expected, ...command) {
  const [program = '', ...args] = command
  const said = await quietly(program, args, { cwd: project })
  if (!said.endsWith(expected))
    throw new SetupError(`${command.join(' ')} printed ${JSON.stringify(said)}, not ${expected}.`)
}
