import { existsSync, readdirSync, readFileSync, renameSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import type { Workspace } from '../../src/index.js'

/** As if five seconds had passed since somebody began to finish an archive. */
export function expireClaims(folder: string): void {
  const archives = join(folder, 'session-archive')
  for (const name of existsSync(archives) ? readdirSync(archives) : [])
    renameSync(join(archives, name), join(archives, name.replace(/\.\d+\.partial$/, '.1.partial')))
}

/** The ids of all entries there are, archived ones first. */
export async function everything(folder: string, workspace: Workspace): Promise<string[]> {
  const archives = join(folder, 'session-archive')
  const ids: string[] = []
  for (const name of existsSync(archives) ? readdirSync(archives).sort() : []) {
    // Left behind by who died before anything had happened: another name of the session.
    if (name.endsWith('.partial'))
      expect(statSync(join(archives, name)).ino).toBe(statSync(join(folder, 'session.jsonl')).ino)
    // Behind the bytes that are the archive there may be a line whose writer was killed before it took that back.
    const bytes = /\.(\d+)\.jsonl$/.exec(name)?.[1]
    if (bytes === undefined) continue
    const archived = readFileSync(join(archives, name)).subarray(0, Number(bytes))
    for (const line of archived.toString('utf8').split('\n')) {
      if (line.trim() === '') continue
      const id: unknown = parsed(line)
      if (typeof id === 'string') ids.push(id)
    }
  }
  for await (const { id } of workspace.session.entries()) ids.push(id)
  return ids
}

function parsed(line: string): unknown {
  try {
    return (JSON.parse(line) as { id?: unknown }).id
  } catch {
    return undefined
  }
}
