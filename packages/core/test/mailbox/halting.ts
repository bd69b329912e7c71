import type { DurableFiles } from '../../src/mailbox/durable-files.js'

/** Where a process ends: right before or after its step with this number. */
export interface End {
  readonly at: number
  readonly when: 'before' | 'after'
}

/** A disk as one process has it, until that is killed or comes to its end. */
export interface Mounted {
  readonly files: DurableFiles
  kill(): void
  readonly killed: Promise<void>
  isDead(): boolean
}

/** For a dead process no step ever returns. */
export function mount(files: DurableFiles, end?: End): Mounted {
  let steps = 0
  let dead = false
  let kill = (): void => undefined
  const killed = new Promise<void>((resolve) => {
    kill = () => {
      dead = true
      resolve()
    }
  })
  const forever = new Promise<never>(() => undefined)
  const step =
    <A extends unknown[], T>(work: (...args: A) => Promise<T>) =>
    async (...args: A): Promise<T> => {
      if (dead) return forever
      const last = ++steps === end?.at
      if (last && end.when === 'before') kill()
      if (dead) return forever
      const [outcome] = await Promise.allSettled([work(...args)])
      if (last) kill()
      if (dead) return forever
      if (outcome.status === 'rejected') throw outcome.reason
      return outcome.value
    }
  return {
    files: {
      list: step(files.list),
      write: step(files.write),
      read: step(files.read),
      link: step(files.link),
      rename: step(files.rename),
      unlink: step(files.unlink),
      empty: step(files.empty),
      makeFolder: step(files.makeFolder),
      syncFolder: step(files.syncFolder),
    },
    kill: () => kill(),
    killed,
    isDead: () => dead,
  }
}
