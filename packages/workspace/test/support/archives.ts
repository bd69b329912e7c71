import { existsSync, readdirSync, renameSync } from 'node:fs'
import { join } from 'node:path'

/** As if five seconds had passed since somebody began to finish an archive. */
export function expireClaims(folder: string): void {
  const archives = join(folder, 'session-archive')
  for (const name of existsSync(archives) ? readdirSync(archives) : [])
    renameSync(join(archives, name), join(archives, name.replace(/\.\d+\.partial$/, '.1.partial')))
}
