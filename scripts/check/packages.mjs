import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { quietly } from '../setup/commands.mjs'
import { ROOT } from '../setup/paths.mjs'
import { PUBLISHED, readManifest } from '../setup/workspace.mjs'
import { compileDocuments, runReadme } from './documents.mjs'

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
 * Installs the tarballs in an empty project, and tries what the documents show there.
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
  await compileDocuments(project)
  await runReadme(project)
}
