import type Docker from 'dockerode'
import type { BoxRef, BoxStats, DriverCall } from '../driver.js'
import { boxGone } from './containers.js'
import type { Engine } from './engine.js'
import { refusalOf } from './engine-failure.js'

/** One reading of what a box uses; all zero when it does not run. */
export async function readStats(engine: Engine, ref: BoxRef, options: DriverCall): Promise<BoxStats> {
  try {
    const stats = await engine.call(
      'measure a box',
      (client, abortSignal) => {
        const once = { stream: false, 'one-shot': true, abortSignal } as const
        return client.getContainer(ref.id).stats(once)
      },
      options,
    )
    return toBoxStats(stats)
  } catch (error) {
    if (refusalOf(error)?.status === 404) throw boxGone(ref)
    throw error
  }
}

/** As the engine tells it: a box that does not run has hardly any of the fields. */
type Reading = { [Field in keyof Docker.ContainerStats]?: Partial<Docker.ContainerStats[Field]> }

function toBoxStats({ read, cpu_stats, memory_stats, pids_stats }: Reading): BoxStats {
  return {
    at: Math.max(0, Date.parse(String(read)) || 0) || Date.now(),
    cpuSeconds: (cpu_stats?.cpu_usage?.total_usage ?? 0) / 1e9,
    memoryBytes: memoryInUse(memory_stats),
    memoryLimit: memory_stats?.limit ?? 0,
    pids: pids_stats?.current ?? 0,
  }
}

/** Without the page cache that the kernel gives back when asked, as `docker stats` counts; cgroup v1 and v2 name it differently. */
function memoryInUse(memory: Reading['memory_stats']): number {
  const stats: Partial<Record<'total_inactive_file' | 'inactive_file', number>> = memory?.stats ?? {}
  const usage = memory?.usage ?? 0
  const cache = stats.total_inactive_file ?? stats.inactive_file ?? 0
  return cache < usage ? usage - cache : usage
}
