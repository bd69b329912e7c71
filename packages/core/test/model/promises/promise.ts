import type { World } from '../world.js'

/** One of the ten promises of docs/testing.md, as something that can be seen to be broken. */
export interface KeptPromise {
  readonly title: string
  /** Watches a world from its beginning. */
  watch?(world: World, broken: (how: string) => void): void
  /** Looks at a world in which nothing goes wrong any more and nobody waits: before it is closed. */
  atRest?(world: World, broken: (how: string) => void): void
  /** Looks at what the last process has left behind. */
  afterwards?(world: World, broken: (how: string) => void): void
}
