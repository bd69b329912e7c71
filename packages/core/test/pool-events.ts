import type { PoolEvents } from '../src/index.js'

/** All that a pool tells. */
export const POOL_EVENTS = [
  'transition',
  'ready',
  'lease',
  'queue',
  'pull',
  'engine',
  'lock',
  'quota',
  'warning',
] as const satisfies readonly (keyof PoolEvents)[]
