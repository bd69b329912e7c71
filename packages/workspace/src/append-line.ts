import { finishArchives, isSettled } from './archive-finish.js'
import { busy } from './errors.js'
import { isCurrent, openSessionToAppend, SESSION_FILE } from './session-file.js'
import { writeLine } from './write-line.js'

const MAX_ATTEMPTS = 20

/**
 * Appends one line to the session. Should the session be archived between our opening it and our write, then the line
 * is seen to be carried over.
 */
export async function appendLine(directory: string, line: Buffer): Promise<void> {
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
    using file = openSessionToAppend(directory)
    if (!(await writeLine(file, line))) continue
    if (isCurrent(directory, file)) return
    await finishArchives(directory)
    if (await isSettled(directory, file, line)) return
  }
  throw busy(SESSION_FILE, MAX_ATTEMPTS)
}
