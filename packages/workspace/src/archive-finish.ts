import { constants, lstatSync, renameSync, unlinkSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import {
  archiveFileOf,
  archiveName,
  cutOf,
  identityIn,
  openArchives,
  type PartialArchive,
  partialName,
  partialsIn,
} from './archive-folder.js'
import type { Folder } from './beneath.js'
import { parseEntry } from './entry-check.js'
import { errnoOf, systemFailure } from './errors.js'
import { type HeldFile, identityOf } from './held-file.js'
import { linesBackward, linesForward } from './line-reader.js'
import { openSession, openSessionToAppend, SESSION_FILE, SESSION_LIMIT } from './session-file.js'
import { syncFolder } from './staging.js'
import { SEARCHED, writeLine } from './write-line.js'

/** The most that an archive leaves in the session: it is copied, and blanked in the archive. */
export const KEPT_LIMIT = 256 * 1024 * 1024
/** After this long, who began to finish an archive is taken to have died. */
const CLAIM_MS = 5000
const POLL_MS = 5
const MAX_FINISHED = 4
const MAX_LATE = 1000
const MAX_ATTEMPTS = 20
const BLANK = Buffer.alloc(64 * 1024, '\n')

/** Finishes the archives that others have begun, or waits until they have. */
export async function finishArchives(directory: string): Promise<void> {
  const deadline = performance.now() + 2 * CLAIM_MS
  while ((await finishAbandoned(directory)) > 0 && performance.now() < deadline) await delay(POLL_MS)
}

/** Finishes the archives whose makers have died; resolves with how many others are not finished yet. */
export async function finishAbandoned(directory: string): Promise<number> {
  using archives = openArchives(directory)
  if (!archives) return 0
  const begun = begunIn(directory, archives)
  const abandoned = begun.filter(({ claimedAt }) => Math.abs(Date.now() - claimedAt) > CLAIM_MS)
  for (const partial of abandoned) await takeOver(directory, archives, partial)
  return begun.length - abandoned.length
}

/**
 * Turns what was the session into an archive: lines that came in late go to the session that is now, what the session
 * has kept is blanked. Each step may be done twice, so that it does not matter where a crash has ended an earlier run.
 */
export async function finishArchive(
  directory: string,
  archives: Folder,
  partial: PartialArchive,
): Promise<string> {
  using file = archives.open(partial.name, constants.O_RDWR)
  const kept = partial.end - partial.cut
  if (kept >= 0 && kept <= KEPT_LIMIT && partial.end <= file.stats.size && file.stats.size <= SESSION_LIMIT) {
    await carryLate(directory, file, partial.end)
    await blank(file, partial.cut, kept)
    await file.sync()
  }
  const name = archiveName(partial)
  moveIn(archives, partial.name, name)
  await syncFolder(archives)
  return archives.pathOf(name)
}

/**
 * Whether a line that was written to a session while it became an archive is where it belongs: archived with others, or
 * carried over. If it came too late for both it is blanked, so that it can be written again.
 */
export async function isSettled(directory: string, old: HeldFile, line: Buffer): Promise<boolean> {
  const name = archiveFileOf(directory, old)
  using archives = openArchives(directory)
  // Not archived, but replaced or removed: the line is gone.
  if (name === undefined || !archives) return false
  using file = archives.open(name, constants.O_RDWR, { links: 2 })
  if (file.identity() !== old.identity()) return false
  const start = Math.max(0, Math.min(old.stats.size, file.stats.size - line.length) - 1)
  const block = Buffer.alloc(SEARCHED)
  const found = block.subarray(0, await file.read(block, start)).indexOf(line)
  if (found === -1 || start + found < cutOf(name)) return true
  await blank(file, start + found, line.length)
  return false
}

/** Removes the other names of a file that has become an archive: those who made them can no longer come to an end. */
export function dropRivals(archives: Folder, identity: string, mine: string): void {
  for (const { name } of partialsIn(archives))
    if (name !== mine && identityIn(archives, name) === identity) remove(archives, name)
}

export function remove(folder: Folder, name: string): void {
  try {
    unlinkSync(folder.locationOf(name))
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw systemFailure(error, folder.pathOf(name))
  }
}

/** Those whose file no longer is the session. One file can be there several times; only one of them was the last step. */
function begunIn(directory: string, archives: Folder): PartialArchive[] {
  const session = lstatSync(`${directory}/${SESSION_FILE}`, { bigint: true, throwIfNoEntry: false })
  const current = session && identityOf(session)
  const byFile = new Map<string, PartialArchive>()
  for (const partial of partialsIn(archives).slice(0, MAX_FINISHED * 4)) {
    const identity = identityIn(archives, partial.name)
    if (identity === undefined || identity === current) continue
    const other = byFile.get(identity)
    const better = partial.next === String(session?.ino) || (other?.claimedAt ?? 0) < partial.claimedAt
    if (!other || better) byFile.set(identity, partial)
  }
  for (const [identity, { name }] of byFile) dropRivals(archives, identity, name)
  return [...byFile.values()].slice(0, MAX_FINISHED)
}

async function takeOver(directory: string, archives: Folder, partial: PartialArchive): Promise<void> {
  const claimed = { ...partial, claimedAt: Date.now() }
  const name = partialName(claimed)
  // Somebody else has taken it over already.
  if (!moveIn(archives, partial.name, name)) return
  await finishArchive(directory, archives, { ...claimed, name })
}

/** Lines of writers that had opened the session before it was replaced. */
async function carryLate(directory: string, file: HeldFile, start: number): Promise<void> {
  let carried = 0
  for await (const lines of linesForward(file, { start }))
    for (const line of lines) {
      if (!('text' in line) || ++carried > MAX_LATE) continue
      const parsed = parseEntry(line.text)
      if (!('entry' in parsed)) continue
      if (!(await isInSession(directory, parsed.entry.id))) await carry(directory, line.text)
      await blank(file, line.offset, Buffer.byteLength(line.text))
    }
}

async function carry(directory: string, text: string): Promise<void> {
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
    using session = openSessionToAppend(directory)
    if (await writeLine(session, Buffer.from(`${text}\n`))) return
  }
}

async function isInSession(directory: string, id: string): Promise<boolean> {
  using session = openSession(directory)
  if (!session) return false
  const start = Math.max(0, session.stats.size - 16 * SEARCHED)
  for await (const lines of linesBackward(session, { start }))
    for (const line of lines) {
      if (!('text' in line) || !line.text.includes(JSON.stringify(id))) continue
      const parsed = parseEntry(line.text)
      if ('entry' in parsed && parsed.entry.id === id) return true
    }
  return false
}

/** Empty lines mean nothing to a reader, and leave what others write behind them where it is. */
async function blank(file: HeldFile, start: number, length: number): Promise<void> {
  for (let done = 0; done < length; done += BLANK.length)
    await file.writeAll(BLANK.subarray(0, Math.min(BLANK.length, length - done)), start + done)
}

function moveIn(folder: Folder, from: string, to: string): boolean {
  try {
    renameSync(folder.locationOf(from), folder.locationOf(to))
    return true
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false
    throw systemFailure(error, folder.pathOf(from))
  }
}
