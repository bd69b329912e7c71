import { open, rename } from 'node:fs/promises'
import { join } from 'node:path'

/** The bare calls that make a file durable. */
export async function storeBare(folder: string, name: string, text: string): Promise<void> {
  const file = await open(join(folder, `${name}.tmp`), 'wx')
  await file.writeFile(text)
  await file.sync()
  await file.close()
  await rename(join(folder, `${name}.tmp`), join(folder, name))
  const directory = await open(folder)
  await directory.sync()
  await directory.close()
}

export async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now()
  await work()
  return performance.now() - began
}
