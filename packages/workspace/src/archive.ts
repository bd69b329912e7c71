import { randomBytes } from 'node:crypto'
import { linkSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { Allowance } from './allowance.js'
import { finishArchive, finishArchives, KEPT_LIMIT, remove } from './archive-finish.js'
import {
  archiveName,
  identityIn,
  nextName,
  openArchives,
  type PartialArchive,
  partialName,
} from './archive-folder.js'
import type { Folder } from './beneath.js'
import { busy, errnoOf, isWorkspaceError, shown, systemFailure, tooLarge, WorkspaceError } from './errors.js'
import type { HeldFile } from './held-file.js'
import { endOfLines } from './line-reader.js'
import { isCurrent, openSession, SESSION_FILE } from './session-file.js'
import { countEntries, findEntry } from './session-reader.js'
import { StagedFile, syncFolder } from './staging.js'

const MAX_ATTEMPTS = 50
const MAX_CATCH_UPS = 10
const COPIED = 1024 * 1024

/**
 * Moves what stands before an entry into a file of its own, while others go on appending, and such that a crash at any
 * point neither loses nor doubles an entry.
 *
 * The session's file itself becomes the archive: it gets a second name in `session-archive/`, and the session a new file
 * with the entries that stay, by one rename. Until that rename nothing has happened; after it, all that is left to do
 * can be done by anybody ({@link finishArchive}), who can tell by the second name of the new file that it has happened.
 * Writers that had opened the old file find their lines carried over. Of two archivers at once one is fenced off
 * ({@link StagedFile}).
 */
export async function archiveBefore(
  directory: string,
  before: string,
): Promise<{ path: string; entries: number }> {
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
    const archived = await tryToArchive(directory, before)
    if (archived) return archived
    await delay(Math.random() * 10 * attempt)
  }
  throw busy(SESSION_FILE, MAX_ATTEMPTS)
}

async function tryToArchive(
  directory: string,
  before: string,
): Promise<{ path: string; entries: number } | undefined> {
  // Opened first: so this file cannot become an archive before the one that has led to it is finished.
  using session = openSession(directory)
  if (!(await finishArchives(directory))) throw unfinished()
  const allowance = new Allowance()
  const cut = session && (await findEntry(session, before, allowance))
  if (!session || cut === undefined)
    throw new WorkspaceError('NOT_FOUND', `${SESSION_FILE} has no entry ${shown(before)}.`, {
      path: SESSION_FILE,
    })
  const entries = await countEntries(session, cut, allowance)
  if (entries === 0) return { path: '', entries: 0 }

  using archives = openArchives(directory, { create: true })
  if (!archives) return undefined
  await using staged = StagedFile.create(directory, SESSION_FILE)
  const copied = await copyLines(session, staged.file, cut, allowance)
  if (!(await staged.claim()) || !isCurrent(directory, session)) return undefined

  const end = await catchUp(session, staged.file, copied, allowance)
  const stamp = `${new Date().toISOString().replace(/[:.]/g, '-')}-${randomBytes(3).toString('hex')}`
  const claimed = { stamp, cut, end, claimedAt: Date.now() }
  const partial = { ...claimed, name: partialName(claimed) }
  if (!link(directory, session, archives, partial.name)) return undefined
  if (!staged.link(archives, nextName(partial)) || !(await isReplaced(archives, staged))) {
    remove(archives, partial.name)
    remove(archives, nextName(partial))
    return undefined
  }
  await finish(directory, archives, partial)
  return { path: archives.pathOf(archiveName(partial)), entries }
}

/** The one step by which it happens, or does not. */
async function isReplaced(archives: Folder, staged: StagedFile): Promise<boolean> {
  await syncFolder(archives)
  return await staged.commitClaim()
}

async function finish(directory: string, archives: Folder, partial: PartialArchive): Promise<void> {
  try {
    if (await finishArchive(directory, archives, partial)) return
  } catch (error) {
    if (!isWorkspaceError(error, 'NOT_FOUND')) throw error
  }
  // Suspended for so long that somebody else has taken it over.
  if (!(await finishArchives(directory))) throw unfinished()
}

/** Gives the session's file its second name, unless it no longer is the session's. */
function link(directory: string, session: HeldFile, archives: Folder, name: string): boolean {
  try {
    linkSync(`${directory}/${SESSION_FILE}`, archives.locationOf(name))
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false
    throw systemFailure(error, archives.pathOf(name))
  }
  if (identityIn(archives, name) === session.identity()) return true
  remove(archives, name)
  return false
}

/** Copies what has been appended since, so that little is left to be carried over one by one. */
async function catchUp(from: HeldFile, to: HeldFile, start: number, allowance: Allowance): Promise<number> {
  let end = start
  for (let round = 0; round < MAX_CATCH_UPS && from.size() > end; round++) {
    const reached = await copyLines(from, to, end, allowance)
    if (reached === end) break
    end = reached
  }
  return end
}

/** Copies all complete lines from `start` on; returns where they end. */
async function copyLines(from: HeldFile, to: HeldFile, start: number, allowance: Allowance): Promise<number> {
  const end = await endOfLines(from, { start, allowance })
  if (end - start > KEPT_LIMIT)
    throw tooLarge(
      SESSION_FILE,
      end - start,
      KEPT_LIMIT,
      'So much cannot stay in the session: archive up to a later entry.',
    )
  for (let at = start; at < end; at += COPIED) {
    const block = Buffer.allocUnsafe(Math.min(COPIED, end - at))
    await to.writeAll(block.subarray(0, await from.read(block, at)))
  }
  return end
}

function unfinished(): WorkspaceError<'BUSY'> {
  return new WorkspaceError(
    'BUSY',
    `Another process is still making an archive of ${SESSION_FILE}. Try again later.`,
    { path: SESSION_FILE },
  )
}
