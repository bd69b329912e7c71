import { mkdir } from 'node:fs/promises'
import { errnoOf } from './errno.js'

/** Makes a folder, unless it is there already. */
export async function makeFolder(path: string, mode = 0o700): Promise<void> {
  try {
    await mkdir(path, { mode })
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error
  }
}
