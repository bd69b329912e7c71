import { lstatSync, opendirSync } from 'node:fs'
import { Folder } from './beneath.js'
import { isWorkspaceError } from './errors.js'
import { type HeldFile, identityOf } from './held-file.js'

export const ARCHIVE_FOLDER = 'session-archive'
const MAX_LISTED = 10_000
/** Names that only mean that an archive is being made; a maker that was killed leaves its own until the next archive. */
export const MAX_PASSING = 100
const PARTIAL = /^(?<stamp>[\w-]{1,64})\.(?<cut>\d{1,15})-(?<end>\d{1,15})\.(?<claimedAt>\d{1,15})\.partial$/
const NEXT = /^(?<stamp>[\w-]{1,64})\.next$/
const FINISHED = /^(?<stamp>[\w-]{1,64})\.(?<cut>\d{1,15})\.jsonl$/

/**
 * An archive that is not finished. Its file is the session, or was until a moment ago; beside it, `<stamp>.next` is a
 * second name of the file that is to be, or is, the session instead. So anybody can tell whether that has happened.
 */
export interface PartialArchive {
  readonly name: string
  /** What the name of the archive will begin with: when it was made. */
  readonly stamp: string
  /** The bytes before it are the archive. */
  readonly cut: number
  /** The bytes from `cut` to it stay in the session, in whose next file they already are. */
  readonly end: number
  /** Milliseconds since the epoch at which somebody began to finish it. */
  readonly claimedAt: number
}

export function partialName(partial: Omit<PartialArchive, 'name'>): string {
  return `${partial.stamp}.${partial.cut}-${partial.end}.${partial.claimedAt}.partial`
}

export function nextName({ stamp }: Pick<PartialArchive, 'stamp'>): string {
  return `${stamp}.next`
}

/** What a finished archive is called. What stands behind the cut is blank, or came later than anybody waits for. */
export function archiveName({ stamp, cut }: Pick<PartialArchive, 'stamp' | 'cut'>): string {
  return `${stamp}.${cut}.jsonl`
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
    const { stamp = '', cut, end, claimedAt } = match
    return [{ name, stamp, cut: Number(cut), end: Number(end), claimedAt: Number(claimedAt) }]
  })
}

/** The finished archive that is the same file as `file`: most likely the newest. */
export function finishedOf(archives: Folder, file: HeldFile): { name: string; cut: number } | undefined {
  const identity = file.identity()
  const name = namesIn(archives).findLast(
    (each) => FINISHED.test(each) && identityIn(archives, each) === identity,
  )
  return name === undefined ? undefined : { name, cut: Number(FINISHED.exec(name)?.groups?.cut) }
}

/** How many names a file has in the folder that only mean that an archive is being made. */
export function passingNamesOf(directory: string, file: HeldFile): number {
  using archives = openArchives(directory)
  if (!archives) return 0
  const identity = file.identity()
  return namesIn(archives)
    .filter((name) => PARTIAL.test(name) || NEXT.test(name))
    .slice(-MAX_PASSING)
    .filter((name) => identityIn(archives, name) === identity).length
}

/** Second names of next files that tell nothing any more: the archive is finished, or can never be made. */
export function spentNextsIn(archives: Folder): string[] {
  const names = namesIn(archives)
  const finished = new Set(names.map((name) => FINISHED.exec(name)?.groups?.stamp))
  return names.filter((name) => {
    const stamp = NEXT.exec(name)?.groups?.stamp
    return stamp !== undefined && (finished.has(stamp) || linksIn(archives, name) === 1)
  })
}

export function identityIn(folder: Folder, name: string): string | undefined {
  const stats = lstatSync(folder.locationOf(name), { bigint: true, throwIfNoEntry: false })
  return stats && identityOf(stats)
}

function linksIn(folder: Folder, name: string): number {
  return lstatSync(folder.locationOf(name), { throwIfNoEntry: false })?.nlink ?? 0
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
