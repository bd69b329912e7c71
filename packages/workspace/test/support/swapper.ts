import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/*
 * The other side of the folder: swaps files and folders for symlinks to `outside`, and back, as fast as it can. Each
 * swap is a rename, so that one or the other is always there.
 */
const [folder = '', outside = ''] = process.argv.slice(2)

const names = ['MEMORY.md', 'session.jsonl', 'SCHEDULES.json', 'file', 'dir']

function put(name: string, kind: 'own' | 'link'): void {
  const staged = join(folder, `.${name}.staged`)
  rmSync(staged, { recursive: true, force: true })
  if (kind === 'link') symlinkSync(join(outside, name), staged)
  else if (name === 'dir') {
    mkdirSync(staged)
    writeFileSync(join(staged, 'file'), 'own')
  } else
    writeFileSync(
      staged,
      name.endsWith('.json') ? '{"version":1,"schedules":[]}' : name.endsWith('.jsonl') ? '' : 'own',
    )
  // A folder is not replaced by a rename.
  if (name === 'dir') rmSync(join(folder, name), { recursive: true, force: true })
  renameSync(staged, join(folder, name))
}

for (const name of names) put(name, 'own')
process.stdout.write('ready\n')
for (let round = 0; ; round++)
  for (const name of names)
    try {
      put(name, round % 2 === 0 ? 'link' : 'own')
    } catch {
      // The gateway has made or removed the same folder in between: the next round goes on.
    }
