import { lstatSync, opendirSync } from 'node:fs'
import { Folder } from './beneath.js'
import { isWorkspaceError } from './errors.js'
import { type HeldFile, identityOf } from './held-file.js'

export const ARCHIVE_FOLDER = 'session-archive'
const MAX_LISTED = 10_000
const PARTIAL =
  /^(?<stamp>[\w-]{1,64})\.(?<cut>\d{1,15})-(?<end>\d{1,15})\.(?<next>\d{1,20})\.(?<claimedAt>\d{1,15})\.partial$/

const FINISHED = /\.(?<cut>\d{1,15})\.jsonl$/

/** An archive that is not finished: its file still is, or just was, the session. All it takes to finish it is its name. */
export interface PartialArchive {
  readonly name: string
  /** What the name of the archive will begin with: when it was made. */
  readonly stamp: string
  /** The bytes before it are the archive. */
  readonly cut: number
  /** The bytes from `cut` to it stay in the session, in whose new file they already are. */
  readonly end: number
  /** The inode of that new file. */
  readonly next: string
  /** Milliseconds since the epoch at which somebody began to finish it. */
  readonly claimedAt: number
}

export function partialName(partial: Omit<PartialArchive, 'name'>): string {
  return `${partial.stamp}.${partial.cut}-${partial.end}.${partial.next}.${partial.claimedAt}.partial`
}

/** What a finished archive is called. What stands behind the cut is blank, or came later than anybody waits for. */
export function archiveName({ stamp, cut }: Pick<PartialArchive, 'stamp' | 'cut'>): string {
  return `${stamp}.${cut}.jsonl`
}

/** The byte before which a file of the folder is the archive. */
export function cutOf(name: string): number {
  return Number(PARTIAL.exec(name)?.groups?.cut ?? FINISHED.exec(name)?.groups?.cut ?? 0)
}

/** Opens the folder; undefined when nothing has ever been archived. */
export function openArchives(directory: string, options: { create?: boolean } = {}): Folder | undefined {
  using root = Folder.root(directory)
  try {
    return root.enter(ARCHIVE_FOLDER, options)
  } catch (error) {
    if (isWorkspaceError(error, 'NOT_FOUND')) return undefined
    throw error
  }
}

export function partialsIn(archives: Folder): PartialArchive[] {
  return namesIn(archives).flatMap((name) => {
    const match = PARTIAL.exec(name)?.groups
    if (!match) return []
    const { stamp = '', cut, end, next = '', claimedAt } = match
    return [{ name, stamp, cut: Number(cut), end: Number(end), next, claimedAt: Number(claimedAt) }]
  })
}

/** Which file of the folder is the same as `file`: most likely the newest. */
export function archiveFileOf(directory: string, file: HeldFile): string | undefined {
  using archives = openArchives(directory)
  const identity = file.identity()
  return archives && namesIn(archives).findLast((name) => identityIn(archives, name) === identity)
}

/** How many unfinished archives are the same file as `file`. */
export function partialsOf(directory: string, file: HeldFile): number {
  using archives = openArchives(directory)
  const identity = file.identity()
  return archives
    ? partialsIn(archives).filter(({ name }) => identityIn(archives, name) === identity).length
    : 0
}

export function identityIn(folder: Folder, name: string): string | undefined {
  const stats = lstatSync(folder.locationOf(name), { bigint: true, throwIfNoEntry: false })
  return stats && identityOf(stats)
}

/** The newest archives come last; of a folder that somebody has filled with rubbish only a part is looked at. */
function namesIn(archives: Folder): string[] {
  const names: string[] = []
  const directory = opendirSync(archives.location)
  try {
    for (let entry = directory.readSync(); entry && names.length < MAX_LISTED; entry = directory.readSync())
      names.push(entry.name)
  } finally {
    directory.closeSync()
  }
  return names.sort()
}
