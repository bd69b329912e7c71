import { randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, open, opendir, rename, rmdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { errnoOf } from './errno.js'

const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW

/**
 * Empties a folder whose contents an attacker may have made: follows no symlink, holds two descriptors however deep
 * the tree is, and never recurses. Sub-folders are moved up into `directory` and emptied there, so that neither path
 * lengths nor depth grow. Returns what could not be deleted, as paths below `directory`.
 *
 * A crash in the middle leaves a smaller tree; calling it again goes on.
 */
export async function emptyDirectory(
  directory: string,
  options: { signal?: AbortSignal | undefined } = {},
): Promise<string[]> {
  const leftBehind: string[] = []
  const root = await open(directory, DIRECTORY)
  try {
    await makeWritable(root)
    const pending = await emptyOne(pathOf(root), pathOf(root), '', leftBehind, options.signal)
    while (pending.length > 0) {
      const name = pending.pop() as string
      options.signal?.throwIfAborted()
      const child = await openDirectory(pathOf(root), name, leftBehind)
      if (!child) continue
      try {
        await makeWritable(child)
        pending.push(...(await emptyOne(pathOf(child), pathOf(root), name, leftBehind, options.signal)))
      } finally {
        await child.close()
      }
      await attempt(name, leftBehind, () => rmdir(join(pathOf(root), name)))
    }
  } finally {
    await root.close()
  }
  return leftBehind
}

/** Deletes a folder and all in it; see {@link emptyDirectory}. A folder that is not there is no error. */
export async function deleteTree(
  directory: string,
  options: { signal?: AbortSignal | undefined } = {},
): Promise<string[]> {
  try {
    const leftBehind = await emptyDirectory(directory, options)
    if (leftBehind.length === 0) await rmdir(directory)
    return leftBehind
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return []
    throw error
  }
}

/** Unlinks the files of one folder and moves its sub-folders up to `top`; returns their names there. */
async function emptyOne(
  folder: string,
  top: string,
  shownAs: string,
  leftBehind: string[],
  signal: AbortSignal | undefined,
): Promise<string[]> {
  const moved: string[] = []
  for await (const entry of await opendir(folder)) {
    signal?.throwIfAborted()
    const path = join(folder, entry.name)
    const shown = join(shownAs, entry.name)
    if (entry.isDirectory()) {
      const name = folder === top ? entry.name : randomUUID()
      if (folder === top || (await attempt(shown, leftBehind, () => rename(path, join(top, name)))))
        moved.push(name)
    } else await attempt(shown, leftBehind, () => unlink(path))
  }
  return moved
}

async function openDirectory(
  parent: string,
  name: string,
  leftBehind: string[],
): Promise<FileHandle | undefined> {
  let handle: FileHandle | undefined
  await attempt(name, leftBehind, async () => {
    handle = await open(join(parent, name), DIRECTORY)
  })
  return handle
}

/** A folder its owner made read-only is emptied all the same. */
async function makeWritable(directory: FileHandle): Promise<void> {
  const { mode } = await directory.stat()
  if ((mode & 0o700) !== 0o700) await directory.chmod(0o700)
}

async function attempt(shown: string, leftBehind: string[], act: () => Promise<void>): Promise<boolean> {
  try {
    await act()
    return true
  } catch (error) {
    // Gone already is as good; anything else (a mount point, an immutable file) is reported, and the rest goes on.
    if (errnoOf(error) === 'ENOENT') return false
    leftBehind.push(shown)
    return false
  }
}

/** The path through which a held directory is reached, whatever happens to its name. */
function pathOf(directory: FileHandle): string {
  return `/proc/self/fd/${directory.fd}`
}
