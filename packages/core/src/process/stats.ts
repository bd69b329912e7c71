import { execFile } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { totalmem } from 'node:os'
import { promisify } from 'node:util'
import type { BoxStats } from '../driver.js'
import { errnoOf } from '../errno.js'

/** What one process uses. */
interface Usage {
  readonly group: number
  readonly cpuSeconds: number
  readonly memoryBytes: number
}

/** Of Linux, as every program sees it. */
const TICKS_PER_SECOND = 100

/** What the processes of these groups use together. */
export async function statsOf(groups: ReadonlySet<number>): Promise<BoxStats> {
  const all = process.platform === 'linux' ? await usagesFromProc(groups) : await usagesFromPs()
  const own = all.filter(({ group }) => groups.has(group))
  return {
    at: Date.now(),
    cpuSeconds: own.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0),
    memoryBytes: own.reduce((sum, { memoryBytes }) => sum + memoryBytes, 0),
    // Nothing limits it but the machine.
    memoryLimit: totalmem(),
    pids: own.length,
  }
}

async function usagesFromProc(groups: ReadonlySet<number>): Promise<Usage[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const usages = await Promise.all(pids.map((pid) => usageFromProc(pid, groups)))
  return usages.flatMap((usage) => usage ?? [])
}

async function usageFromProc(pid: string, groups: ReadonlySet<number>): Promise<Usage | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
    // The name in parentheses may hold anything; what follows it is numbers: state, parent, group, …
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const group = Number(fields[2])
    if (!groups.has(group)) return undefined
    // Own time and that of children that have ended, in user and kernel mode.
    const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0)
    const status = await readFile(`/proc/${pid}/status`, 'utf8')
    const kibibytes = Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0)
    return { group, cpuSeconds: ticks / TICKS_PER_SECOND, memoryBytes: kibibytes * 1024 }
  } catch (error) {
    // It has ended meanwhile.
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ESRCH') return undefined
    throw error
  }
}

async function usagesFromPs(): Promise<Usage[]> {
  const { stdout } = await promisify(execFile)('ps', ['-A', '-o', 'pgid=,rss=,time='])
  return stdout.split('\n').flatMap((line) => {
    const [group, kibibytes, time] = line.trim().split(/\s+/)
    if (!time) return []
    return { group: Number(group), cpuSeconds: toSeconds(time), memoryBytes: Number(kibibytes) * 1024 }
  })
}

/** Of `[[days-]hours:]minutes:seconds`. */
function toSeconds(time: string): number {
  const [clock = '', days = '0'] = time.split('-').reverse()
  return clock.split(':').reduce((sum, part) => sum * 60 + Number(part), 0) + Number(days) * 86_400
}
