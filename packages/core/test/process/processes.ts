import { readdir, readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'

const DEADLINE_MS = 15_000

/** For a shell: runs on, without the environment it was given. Its arguments hold the shell's own name. */
export const WITHOUT_ENVIRONMENT = 'env -i sh -c "sleep 600; :" "$0"'

/** The processes that have `text` in their environment. One that has ended has none, even before it is reaped. */
export function processesOf(text: string): Promise<number[]> {
  return processesWhose('environ', text)
}

/** The processes that have `text` in their arguments. */
export function processesRunning(text: string): Promise<number[]> {
  return processesWhose('cmdline', text)
}

async function processesWhose(file: 'environ' | 'cmdline', text: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const found = await Promise.all(
    pids.map(async (pid) => {
      // Gone since, or another user's.
      const content = await readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '')
      return content.includes(text) ? Number(pid) : undefined
    }),
  )
  return found.filter((pid) => pid !== undefined)
}

/** Asks until it is so. */
export async function eventually(isSo: () => Promise<boolean>): Promise<void> {
  const until = performance.now() + DEADLINE_MS
  while (!(await isSo())) {
    if (performance.now() > until) throw new Error(`not within ${DEADLINE_MS} ms: ${isSo}`)
    await delay(20)
  }
}
