import { constants, lstatSync, renameSync, unlinkSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import {
  archiveName,
  finishedOf,
  identityIn,
  MAX_PASSING,
  nextName,
  openArchives,
  type PartialArchive,
  partialName,
  partialsIn,
  spentNextsIn,
} from './archive-folder.js'
import { type Folder, notAFile } from './beneath.js'
import { parseEntry } from './entry-check.js'
import { busy, errnoOf, systemFailure } from './errors.js'
import { type HeldFile, identityOf } from './held-file.js'
import { linesForward } from './line-reader.js'
import { openSession, openSessionToAppend, SESSION_FILE, SESSION_LIMIT } from './session-file.js'
import { syncFolder } from './staging.js'
import { writeLine } from './write-line.js'

/** The most that an archive leaves in the session: it is copied, and blanked in the archive. */
export const KEPT_LIMIT = 256 * 1024 * 1024
/** After this long, who began to finish an archive is taken to have died. */
const CLAIM_MS = 5000
/** How long others wait for it: its maker and who takes it over may both die. */
export const ARCHIVE_WAIT_MS = 2 * CLAIM_MS
const POLL_MS = 5
const LONGEST_POLL_MS = 200
/** The most that writers can have added to the old file between the last look at it and its replacement. */
const LATE_LIMIT = 32 * 1024 * 1024
const MAX_ATTEMPTS = 20
const BLANK = Buffer.alloc(64 * 1024, '\n')

/** Sees that no archive is left unfinished: by waiting, while its maker may be alive. False when it is not by `deadline`. */
export async function finishArchives(
  directory: string,
  deadline = performance.now() + ARCHIVE_WAIT_MS,
): Promise<boolean> {
  for (let poll = 0; !(await finishAbandoned(directory)); poll++) {
    if (performance.now() > deadline) return false
    await delay(Math.min(POLL_MS * 2 ** poll, LONGEST_POLL_MS))
  }
  return true
}

/** Finishes the archive whose maker has died. True when there was none that is not finished. */
export async function finishAbandoned(directory: string): Promise<boolean> {
  using archives = openArchives(directory)
  if (!archives) return true
  for (const name of spentNextsIn(archives)) remove(archives, name)
  const begun = begunIn(directory, archives)
  if (begun && Math.abs(Date.now() - begun.claimedAt) > CLAIM_MS) await takeOver(directory, archives, begun)
  return begun === undefined
}

/**
 * Turns what was the session into an archive: lines that came in late go to the session that is now, what the session
 * has kept is blanked. Each step may be done twice, so that it does not matter where a crash has ended an earlier run.
 *
 * @returns false when somebody else has taken it over meanwhile, who may not be at its end
 */
export async function finishArchive(
  directory: string,
  archives: Folder,
  partial: PartialArchive,
): Promise<boolean> {
  using file = archives.open(partial.name, constants.O_RDWR, { links: 1 + MAX_PASSING })
  dropRivals(archives, file.identity(), partial.name)
  if (file.links() > 1) throw notAFile(archives.pathOf(partial.name), 'hard link')
  const kept = partial.end - partial.cut
  if (kept >= 0 && kept <= KEPT_LIMIT && partial.end <= file.stats.size && file.stats.size <= SESSION_LIMIT) {
    await carryLate(directory, archives, file, partial)
    await blank(file, partial.cut, kept)
    await file.sync()
  }
  if (!moveIn(archives, partial.name, archiveName(partial))) return false
  remove(archives, nextName(partial))
  await syncFolder(archives)
  return true
}

/**
 * Whether a line that was written to a session while it became an archive is where it belongs: archived with others, or
 * carried over. If it came too late for both it is blanked, so that it can be written again.
 */
export async function isSettled(directory: string, old: HeldFile, line: Buffer): Promise<boolean> {
  using archives = openArchives(directory)
  const archive = archives && finishedOf(archives, old)
  // Not archived, but replaced or removed: the line is gone.
  if (!archive) return false
  using file = archives.open(archive.name, constants.O_RDWR)
  if (file.identity() !== old.identity()) return false
  const found = await file.find(line, Math.max(old.stats.size, archive.cut))
  if (found === -1) return true
  await blank(file, found, line.length)
  return false
}

export function remove(folder: Folder, name: string): void {
  try {
    unlinkSync(folder.locationOf(name))
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw systemFailure(error, folder.pathOf(name))
  }
}

/** The one whose next file has become the session. There are no others: nobody archives while one is not finished. */
function begunIn(directory: string, archives: Folder): PartialArchive | undefined {
  const session = lstatSync(`${directory}/${SESSION_FILE}`, { bigint: true, throwIfNoEntry: false })
  const current = session && identityOf(session)
  return partialsIn(archives)
    .slice(-MAX_PASSING)
    .find((partial) => current && identityIn(archives, nextName(partial)) === current)
}

/** Removes what others have made who began to archive the same file: they can no longer come to an end. */
function dropRivals(archives: Folder, identity: string, mine: string): void {
  for (const rival of partialsIn(archives)) {
    if (rival.name === mine || identityIn(archives, rival.name) !== identity) continue
    remove(archives, rival.name)
    remove(archives, nextName(rival))
  }
}

async function takeOver(directory: string, archives: Folder, partial: PartialArchive): Promise<void> {
  const claimed = { ...partial, claimedAt: Date.now() }
  const name = partialName(claimed)
  // Somebody else has taken it over already.
  if (!moveIn(archives, partial.name, name)) return
  await finishArchive(directory, archives, { ...claimed, name })
}

/** Gives the session the lines of writers that had opened it before it was replaced. */
async function carryLate(
  directory: string,
  archives: Folder,
  file: HeldFile,
  { name, cut, end }: PartialArchive,
): Promise<void> {
  // An earlier run may have died between carrying a line over and blanking it: in the first block that is not blank.
  let carried: ReadonlySet<string> | undefined
  for await (const lines of linesForward(file, {
    start: end,
    end: Math.min(file.size(), end + LATE_LIMIT),
  })) {
    const late = lines.flatMap((line) => ('text' in line && 'entry' in parseEntry(line.text) ? [line] : []))
    if (late.length === 0) continue
    carried ??= await linesOf(directory, end - cut, new Set(late.map(({ text }) => text)))
    for (const { offset, text } of late) {
      // Suspended for so long that somebody else has taken it over.
      if (identityIn(archives, name) === undefined) return
      if (!carried.has(text)) await carry(directory, text)
      await blank(file, offset, Buffer.byteLength(text))
    }
  }
}

/** Which of some lines stand in the session behind a place. */
async function linesOf(
  directory: string,
  start: number,
  wanted: ReadonlySet<string>,
): Promise<ReadonlySet<string>> {
  const found = new Set<string>()
  using session = openSession(directory)
  if (!session) return found
  const end = Math.min(session.size(), start + 2 * LATE_LIMIT)
  for await (const lines of linesForward(session, { start, end }))
    for (const line of lines) if ('text' in line && wanted.has(line.text)) found.add(line.text)
  return found
}

async function carry(directory: string, text: string): Promise<void> {
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
    using session = openSessionToAppend(directory)
    if (await writeLine(session, Buffer.from(`${text}\n`))) return
  }
  throw busy(SESSION_FILE, MAX_ATTEMPTS)
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
