import { constants } from 'node:fs'
import { chmod, type FileHandle, mkdir, open, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { deleteTree, emptyDirectory, orDelete } from './delete-tree.js'
import { makeFolder } from './make-folder.js'
import type { TenantFolders } from './tenant-dirs.js'

export interface Owner {
  readonly uid: number
  readonly gid: number
}

/** Makes a tenant's folders ready for a start: an empty `run`, fresh secrets, and their owner on the mount roots only. */
export async function freshen(
  folders: TenantFolders,
  secrets: Readonly<Record<string, string>>,
  owner: Owner | undefined,
): Promise<void> {
  for (const folder of [folders.workspace, folders.run, folders.gateway])
    await makeFolder(folder, folder === folders.gateway ? 0o755 : 0o700)
  await emptyDirectory(folders.run)
  if (owner) for (const folder of [folders.workspace, folders.run]) await giveTo(folder, owner)
  const fresh = `${folders.secrets}.new`
  await deleteTree(fresh)
  await mkdir(fresh, { mode: 0o700 })
  await orDelete(fresh, async () => {
    for (const [name, value] of Object.entries(secrets)) {
      await writeFile(join(fresh, name), value, { mode: 0o400, flag: 'wx' })
      if (owner) await giveTo(join(fresh, name), owner)
    }
    await chmod(fresh, 0o500)
    if (owner) await giveTo(fresh, owner)
    await deleteTree(folders.secrets)
    await rename(fresh, folders.secrets)
  })
}

async function giveTo(path: string, owner: Owner): Promise<void> {
  let handle: FileHandle | undefined
  try {
    handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
    await handle.chown(owner.uid, owner.gid)
  } finally {
    await handle?.close()
  }
}
