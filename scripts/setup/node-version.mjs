// Written so that any Node with ES modules can read it: it is what tells an old one apart.
import { readFileSync } from 'node:fs'

/** Ends the process, saying why, on a Node older than the repository's `engines` ask for. */
export function requireNode() {
  const { engines } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  const [wantedMajor, wantedMinor] = engines.node.replace('>=', '').split('.').map(Number)
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (major > wantedMajor || (major === wantedMajor && minor >= wantedMinor)) return
  console.error(
    `TenantBox needs Node ${engines.node}, and this is ${process.version}. Install a newer Node, then run this again.`,
  )
  process.exit(1)
}
