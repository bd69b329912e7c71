import { readdir, readFile } from 'node:fs/promises'

/** The processes that have `text` in their environment, those that have ended but were not reaped left out. */
export async function processesOf(text: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const found = await Promise.all(
    pids.map(async (pid) => {
      // Gone since, or another user's.
      const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '')
      return environment.includes(text) ? Number(pid) : undefined
    }),
  )
  return found.filter((pid) => pid !== undefined)
}
