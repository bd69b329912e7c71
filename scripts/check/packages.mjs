import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { quietly } from '../setup/commands.mjs'
import { ROOT } from '../setup/paths.mjs'
import { PUBLISHED, readManifest } from '../setup/workspace.mjs'

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
 * Installs the tarballs in an empty project, compiles the documents' TypeScript against them, and runs the README's first example.
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
  const blocks = ['README.md', 'docs/mailbox.md'].flatMap(blocksOf)
  for (const [index, code] of blocks.entries())
    writeFileSync(join(project, `block-${index}.ts`), asModule(code))
  await quietly(join(project, 'node_modules/.bin/tsc'), ['--project', project], { cwd: project })
  writeFileSync(join(project, 'example.mjs'), asRun(blocks[0] ?? ''))
  const said = await quietly('node', ['example.mjs'], { cwd: project })
  if (said !== 'hello')
    throw new Error(`The README's first example printed ${JSON.stringify(said)}, not "hello".`)
}

/**
 * @param {string} document
 * @returns {string[]} what it shows in TypeScript
 */
function blocksOf(document) {
  const text = readFileSync(join(ROOT, document), 'utf8')
  return [...text.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code = '']) => code)
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

/**
 * The example as it stands, on a machine without containers: the driver is the one for tests, the rest is to the letter.
 *
 * @param {string} code
 */
function asRun(code) {
  return code.replace(
    "import { docker } from '@tenantbox/core/docker'",
    "import { memoryDriver as docker } from '@tenantbox/core/testing'",
  )
}
