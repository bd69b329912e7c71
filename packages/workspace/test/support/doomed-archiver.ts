import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'

/* Archives what stands before an entry, and is killed right before the given call of the system that changes something. */
const [folder = '', before = '', fatal = '0'] = process.argv.slice(2)
let calls = 0

for (const name of [
  'openSync',
  'mkdirSync',
  'renameSync',
  'linkSync',
  'unlinkSync',
  'write',
  'fsync',
] as const) {
  const original: (...args: never[]) => unknown = fs[name]
  const counted = (...args: never[]): unknown => {
    if (++calls === Number(fatal)) process.kill(process.pid, 'SIGKILL')
    return original(...args)
  }
  Object.assign(fs, { [name]: counted })
}
syncBuiltinESMExports()

const { Workspace } = await import('../../src/index.js')
const workspace = await Workspace.open(folder)
await workspace.session.archive(before)
