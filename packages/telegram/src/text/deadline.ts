import { createContext, Script } from 'node:vm'

const context: { work?: () => unknown } = createContext()
const script = new Script('work()')

/**
 * Runs `work`, which must not wait for anything, but no longer than this: then it ends where it is.
 *
 * @throws what `work` throws; Node's `ERR_SCRIPT_EXECUTION_TIMEOUT`, see `isLate`
 */
export function withDeadline<T>(ms: number, work: () => T): T {
  context.work = work
  try {
    return script.runInContext(context, { timeout: ms }) as T
  } finally {
    delete context.work
  }
}

/** Whether it is what `withDeadline` throws when the time is over: an error of the script's own realm, so no `Error` here. */
export function isLate(error: unknown): boolean {
  const isCoded = typeof error === 'object' && error !== null && 'code' in error
  return isCoded && error.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT'
}
