import { finishArchives, reclaim } from './archive-finish.js'
import { WorkspaceError } from './errors.js'
import { isCurrent, openSession, openSessionToAppend, SESSION_FILE } from './session-file.js'
import { SEARCHED, writeLine } from './write-line.js'

const MAX_ATTEMPTS = 20

/**
 * Appends one line to the session. Should the session be archived between our opening it and our write, then the line
 * is moved after the others.
 */
export async function appendLine(directory: string, line: Buffer): Promise<void> {
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
    using file = openSessionToAppend(directory)
    if (!(await writeLine(file, line))) continue
    if (isCurrent(directory, file)) return
    await finishArchives(directory)
    if (await holds(directory, line)) return
    await reclaim(directory, file, line)
  }
  throw new WorkspaceError(
    'INVALID_FILE',
    `${SESSION_FILE} was torn or replaced by others at each of ${MAX_ATTEMPTS} attempts to append to it.`,
    { path: SESSION_FILE, reason: 'is changed all the time' },
  )
}

/** Whether the session has the line: it is looked for at the end, where it must be. */
async function holds(directory: string, line: Buffer): Promise<boolean> {
  using file = openSession(directory)
  if (!file) return false
  const block = Buffer.alloc(SEARCHED)
  const filled = await file.read(block, Math.max(0, file.size() - SEARCHED))
  return block.subarray(0, filled).includes(line)
}
