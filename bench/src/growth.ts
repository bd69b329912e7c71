import { median } from './report.js'

export const MiB = 1024 ** 2
/** At first caches fill and code is compiled: that part of the samples is not compared. */
const WARM_UP = 0.25
/** What a process may hold more of at the end than after the warm-up and still be level. */
export const LEVEL = { heap: 4 * MiB, rss: 32 * MiB } as const

export interface Memory {
  readonly heap: number
  readonly rss: number
}

export function memoryInUse(): Memory {
  // Twice: what has a finalizer goes with the second.
  global.gc?.()
  global.gc?.()
  const { heapUsed, rss } = process.memoryUsage()
  return { heap: heapUsed, rss }
}

/** Medians of the first and the last third of the samples after the warm-up. */
export function course(samples: readonly number[]): { readonly first: number; readonly last: number } {
  const compared = samples.slice(Math.floor(samples.length * WARM_UP))
  const third = Math.max(1, Math.floor(compared.length / 3))
  return { first: median(compared.slice(0, third)), last: median(compared.slice(-third)) }
}

export function toMiB(bytes: number): string {
  return (bytes / MiB).toFixed(1)
}
