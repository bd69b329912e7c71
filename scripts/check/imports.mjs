import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from '../setup/paths.mjs'
import { SetupError } from '../setup/terminal.mjs'

/** What must not be imported where. Paths are relative to `packages/`. */
const RULES = [
  {
    what: /^dockerode$/,
    where: (/** @type {string} */ file) =>
      file.startsWith('core/src/') && !file.startsWith('core/src/docker/'),
    why: 'only packages/core/src/docker/ knows dockerode',
  },
  {
    what: /^@tenantbox\//,
    where: (/** @type {string} */ file) => file.startsWith('core/src/'),
    why: 'core imports no other package of TenantBox',
  },
  {
    what: /^@tenantbox\//,
    where: (/** @type {string} */ file) => file.startsWith('workspace/src/'),
    why: 'workspace imports no other package of TenantBox',
  },
  {
    what: /^@tenantbox\/(?!core$|core\/|workspace$)/,
    where: (/** @type {string} */ file) => file.startsWith('telegram/src/'),
    why: 'of TenantBox, telegram imports core and workspace only',
  },
]

/** The direction of imports between packages, as docs/architecture.md has it. */
export async function forbiddenImports() {
  const packages = join(ROOT, 'packages')
  const files = readdirSync(packages, { recursive: true, encoding: 'utf8' }).filter((file) =>
    /^\w+\/src\/.*\.ts$/.test(file),
  )
  const broken = files.flatMap((file) => {
    const text = readFileSync(join(packages, file), 'utf8')
    const imported = [...text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map(([, name = '']) => name)
    return imported.flatMap((name) =>
      RULES.filter((rule) => rule.what.test(name) && rule.where(file)).map(
        ({ why }) => `packages/${file} imports ${name}: ${why}`,
      ),
    )
  })
  if (broken.length > 0) throw new SetupError(broken.join('\n'))
}
