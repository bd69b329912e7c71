import { lstat } from 'node:fs/promises'
import { join } from 'node:path'
import { errnoOf } from '../errno.js'
import { makeFolder } from '../make-folder.js'
import type { TenantFolders } from '../tenant-dirs.js'
import { runTool } from './system-tool.js'

/** What a tenant may write to. */
const WRITABLE = ['workspace', 'run'] as const

/**
 * Mounts a tenant's image, and its workspace and run from it. What is mounted already, by a process before this one or
 * by one that was interrupted, stays.
 */
export async function mountTenant(folders: TenantFolders): Promise<void> {
  const host = await deviceOf(folders.root)
  await makeFolder(folders.disk)
  if ((await deviceOf(folders.disk)) === host) await mountImage(folders.image, folders.disk)
  for (const name of WRITABLE) {
    await makeFolder(join(folders.disk, name))
    await makeFolder(folders[name])
    // A bind takes the mount's own options along: nosuid, nodev.
    if ((await deviceOf(folders[name])) === host)
      await runTool('mount', ['--bind', join(folders.disk, name), folders[name]])
  }
}

/** The reverse; `lazily`: also when somebody has a file open in it, who goes on with it until he closes it. */
export async function unmountTenant(folders: TenantFolders, lazily = false): Promise<void> {
  const host = await deviceOf(folders.root)
  for (const folder of [folders.run, folders.workspace, folders.disk]) {
    const device = await deviceOf(folder)
    if (device !== undefined && device !== host) await unmount(folder, lazily)
  }
}

/**
 * The image of a box that outlived its pool may be mounted already where only the box sees it. `mount` finds that out
 * and takes the same loop device: two for one image would ruin it.
 */
export async function mountImage(image: string, folder: string): Promise<void> {
  await runTool('mount', ['-t', 'ext4', '-o', 'loop,nosuid,nodev,noatime,discard', image, folder])
}

export async function unmount(folder: string, lazily = false): Promise<void> {
  await runTool('umount', lazily ? ['--lazy', folder] : [folder])
}

/** Whether something is mounted on this very folder. */
export async function isMounted(folder: string): Promise<boolean> {
  const device = await deviceOf(folder)
  return device !== undefined && device !== (await deviceOf(join(folder, '..')))
}

/** The filesystem that a folder lies in; undefined when there is no such folder. */
async function deviceOf(folder: string): Promise<bigint | undefined> {
  try {
    return (await lstat(folder, { bigint: true })).dev
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  }
}
