import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { quietly } from '../setup/commands.mjs'
import { ROOT } from '../setup/paths.mjs'
import { SetupError } from '../setup/terminal.mjs'

/** Where packages come from is each machine's own affair: a name of a registry in the tree would bypass its settings. */
const REGISTRY = /registry\.[a-z0-9-]+\.(?:org|com|io)|\bresolved:|\btarball:|deb\.debian\.org/

export async function hostNames() {
  const listed = await quietly('git', ['ls-files', '-z'], { cwd: ROOT })
  const files = listed.split('\0').filter((file) => file !== '' && file !== 'scripts/check/host-names.mjs')
  const naming = files.filter((file) => REGISTRY.test(readFileSync(join(ROOT, file), 'utf8')))
  if (naming.length > 0) throw new SetupError(`These name a package registry:\n${naming.join('\n')}`)
}
