import { constants, lstatSync } from 'node:fs'
import { MAX_PASSING, passingNamesOf } from './archive-folder.js'
import { Folder, notAFile, openRegular } from './beneath.js'
import { isWorkspaceError, tooLarge } from './errors.js'
import type { HeldFile } from './held-file.js'
import { inheritFolder } from './staging.js'

export const SESSION_FILE = 'session.jsonl'

/** Larger ones are refused: reading one could take minutes, and a sparse file costs a tenant nothing. */
export const SESSION_LIMIT = 4 * 1024 ** 3

/** Names come and go between the two looks at them that it takes to know of all. */
const LOOKS = 5

/** Opens the session for reading; undefined when there is none yet. */
export function openSession(directory: string): HeldFile | undefined {
  try {
    return open(directory, constants.O_RDONLY)
  } catch (error) {
    if (isWorkspaceError(error, 'NOT_FOUND')) return undefined
    throw error
  }
}

/** Opens the session to append to it and to look at its end, making it if there is none. */
export function openSessionToAppend(directory: string): HeldFile {
  for (;;) {
    try {
      const file = open(directory, constants.O_RDWR | constants.O_APPEND)
      // Its maker may have died before it gave the file away.
      if (file.stats.size === 0) give(directory, file)
      return file
    } catch (error) {
      if (!isWorkspaceError(error, 'NOT_FOUND')) throw error
    }
    const made = make(directory)
    if (made) return made
  }
}

/** Whether `file` still is what stands under the session's name. */
export function isCurrent(directory: string, file: HeldFile): boolean {
  const now = lstatSync(`${directory}/${SESSION_FILE}`, { throwIfNoEntry: false })
  return now?.ino === file.stats.ino && now.dev === file.stats.dev
}

function open(directory: string, flags: number): HeldFile {
  const file = openRegular(`${directory}/${SESSION_FILE}`, SESSION_FILE, flags, { links: 1 + MAX_PASSING })
  try {
    if (file.stats.nlink > 1 && hasForeignName(directory, file)) throw notAFile(SESSION_FILE, 'hard link')
    if (file.stats.size > SESSION_LIMIT)
      throw tooLarge(
        SESSION_FILE,
        file.stats.size,
        SESSION_LIMIT,
        'Move older entries away with session.archive().',
      )
    return file
  } catch (error) {
    file[Symbol.dispose]()
    throw error
  }
}

/** Whether the file has a name beside its own that does not just mean that an archive is being made. */
function hasForeignName(directory: string, file: HeldFile): boolean {
  for (let look = 0; look < LOOKS; look++)
    if (file.links() <= 1 + passingNamesOf(directory, file)) return false
  return true
}

function make(directory: string): HeldFile | undefined {
  try {
    const flags = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_EXCL
    const file = openRegular(`${directory}/${SESSION_FILE}`, SESSION_FILE, flags)
    give(directory, file)
    return file
  } catch (error) {
    // Somebody else made it just now.
    if (isWorkspaceError(error, 'IO') && error.details.errno === 'EEXIST') return undefined
    throw error
  }
}

function give(directory: string, file: HeldFile): void {
  using folder = Folder.root(directory)
  inheritFolder(file.fd, folder.stat())
}
