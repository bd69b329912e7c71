import { ARCHIVE_WAIT_MS, finishAbandoned, finishArchives, isSettled } from './archive-finish.js'
import { ARCHIVE_FOLDER } from './archive-folder.js'
import { busy } from './errors.js'
import type { OnProblem } from './problem.js'
import { isCurrent, openSessionToAppend, SESSION_FILE } from './session-file.js'
import { writeLine } from './write-line.js'

const MAX_ATTEMPTS = 20

/**
 * Appends one line to the session. Should the session be archived between our opening it and our write, then the line
 * is seen to be carried over. Should an archive be unfinished, then that comes first: what it carries over was said
 * before.
 */
export async function appendLine(
  directory: string,
  line: Buffer,
  onProblem: OnProblem,
  longestWait: number = ARCHIVE_WAIT_MS,
): Promise<void> {
  // In all: a tenant can forge one unfinished archive after the other.
  let deadline = performance.now() + longestWait
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
    using file = openSessionToAppend(directory)
    if (file.stats.nlink > 1 && performance.now() < deadline) {
      const found = await waitForArchive(directory, deadline, onProblem)
      if (found === 'finished') continue
      if (found === 'unfinished') deadline = Number.NEGATIVE_INFINITY
    }
    if (!(await writeLine(file, line))) continue
    if (isCurrent(directory, file)) return
    await finishArchives(directory, deadline)
    if (await isSettled(directory, file, line)) return
  }
  throw busy(SESSION_FILE, MAX_ATTEMPTS)
}

/** Has an archive finished that was begun before, by its maker or, if that has died, here. */
async function waitForArchive(
  directory: string,
  deadline: number,
  onProblem: OnProblem,
): Promise<'none' | 'finished' | 'unfinished'> {
  try {
    if (await finishAbandoned(directory)) return 'none'
    return (await finishArchives(directory, deadline)) ? 'finished' : 'unfinished'
  } catch (error) {
    // Nobody's append fails for what an archiver has left, or a tenant made look like that.
    onProblem({ file: ARCHIVE_FOLDER, message: `An unfinished archive was not finished: ${error}` })
    return 'unfinished'
  }
}
