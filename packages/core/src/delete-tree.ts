import { randomUUID } from 'node:crypto'
import { rename, rmdir, unlink } from 'node:fs/promises'
import { errnoOf } from './errno.js'
import { grantOwner, HeldDirectory, shownName } from './held-directory.js'

interface DeleteOptions {
  signal?: AbortSignal | undefined
}

/**
 * Empties a folder whose contents an attacker may have made: follows no symlink, leaves what is mounted in it alone,
 * never recurses, and holds three descriptors and next to no memory however deep or wide the tree is. Sub-folders are
 * moved up into `directory` and emptied there, so that neither path lengths nor depth grow. Returns what could not be
 * deleted, as names in `directory`.
 *
 * A crash in the middle leaves a smaller tree; calling it again goes on.
 */
export async function emptyDirectory(directory: string, { signal }: DeleteOptions = {}): Promise<string[]> {
  const top = await withRights(directory, () => HeldDirectory.open(directory))
  try {
    await makeWritable(top)
    const stuck = new Set<string>()
    // What is moved up while the folder is read may or may not be seen in the same pass: until one finds nothing to do.
    while (await deleteOnce(top, stuck, signal)) signal?.throwIfAborted()
    return [...stuck].map(shownName)
  } finally {
    await top.close()
  }
}

/** Deletes a folder and all in it; see {@link emptyDirectory}. A folder that is not there is no error. */
export async function deleteTree(directory: string, options: DeleteOptions = {}): Promise<string[]> {
  try {
    const leftBehind = await emptyDirectory(directory, options)
    if (leftBehind.length === 0) await rmdir(directory)
    return leftBehind
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return []
    throw error
  }
}

/** Leaves nothing of `fresh` behind when what fills it fails: that may well be for want of room. */
export async function orDelete(fresh: string, fill: () => Promise<void>): Promise<void> {
  try {
    await fill()
  } catch (error) {
    await deleteTree(fresh)
    throw error
  }
}

/** One pass over what lies at the top, but for what is `stuck`; false when there was nothing. */
async function deleteOnce(
  top: HeldDirectory,
  stuck: Set<string>,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  let found = false
  for await (const entry of await top.entries()) {
    signal?.throwIfAborted()
    if (stuck.has(entry.name)) continue
    found = true
    const deleted = entry.isDirectory()
      ? await deleteFolder(top, entry.name, signal)
      : await succeeds(() => unlink(top.pathOf(entry.name)))
    if (!deleted) stuck.add(entry.name)
  }
  return found
}

async function deleteFolder(
  top: HeldDirectory,
  name: string,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const gone = (): Promise<boolean> => succeeds(() => rmdir(top.pathOf(name)))
  try {
    await rmdir(top.pathOf(name))
    return true
  } catch (error) {
    // Anything but a folder with something in it (a mount is EBUSY) is not looked into.
    if (errnoOf(error) !== 'ENOTEMPTY' && errnoOf(error) !== 'EEXIST') return errnoOf(error) === 'ENOENT'
  }
  try {
    await emptyInto(top, name, signal)
  } catch (error) {
    signal?.throwIfAborted()
    // A folder that cannot be read or has gone: whether it is in the way is told by the attempt to remove it.
    if (errnoOf(error) === undefined) throw error
  }
  return gone()
}

/** Unlinks the files of a folder and moves its sub-folders up to `top`; what will not go stays in it. */
async function emptyInto(top: HeldDirectory, name: string, signal: AbortSignal | undefined): Promise<void> {
  const folder = await withRights(top.pathOf(name), () => top.openChild(name))
  try {
    await makeWritable(folder)
    for await (const entry of await folder.entries()) {
      signal?.throwIfAborted()
      const path = folder.pathOf(entry.name)
      // Moving a folder elsewhere takes the right to write it.
      const up = (): Promise<void> => rename(path, top.pathOf(randomUUID()))
      await succeeds(() => (entry.isDirectory() ? withRights(path, up) : unlink(path)))
    }
  } finally {
    await folder.close()
  }
}

/** What a folder's owner has forbidden everybody is done all the same, where this process is that owner. */
async function withRights<T>(folder: string | Buffer, act: () => Promise<T>): Promise<T> {
  try {
    return await act()
  } catch (error) {
    if (errnoOf(error) !== 'EACCES' || process.platform !== 'linux') throw error
    await grantOwner(folder)
    return act()
  }
}

/** A folder its owner made read-only is emptied all the same. */
async function makeWritable(directory: HeldDirectory): Promise<void> {
  const { mode } = await directory.stat()
  if ((Number(mode) & 0o700) !== 0o700) await directory.chmod(0o700)
}

/** Whether it worked, or was done already. What fails (a mount, an immutable file) is seen by what is left. */
async function succeeds(act: () => Promise<void>): Promise<boolean> {
  try {
    await act()
    return true
  } catch (error) {
    if (errnoOf(error) === undefined) throw error
    return errnoOf(error) === 'ENOENT'
  }
}
