/** How much is run, and what is run again; both can be said by the environment. See docs/testing.md. */
export interface Profile {
  readonly seed: number
  readonly numRuns: number
  readonly path?: string
  /** Which of a run's commands were left when it was shrunk. */
  readonly replayPath?: string
  readonly endOnFailure: boolean
}

const RUNS = 1_000

/** The same interleavings every time, unless more are asked for: those are others every time. */
export function profileOf(env: NodeJS.ProcessEnv): Profile {
  const { TENANTBOX_MODEL_REPLAY: replay, TENANTBOX_MODEL_RUNS: runs, TENANTBOX_MODEL_SEED: seed } = env
  const endOnFailure = env.TENANTBOX_MODEL_SHRINK === 'no'
  if (replay === undefined)
    return {
      seed: Number(seed ?? (runs === undefined ? 1 : Date.now() % 1e9)),
      numRuns: Number(runs ?? RUNS),
      endOnFailure,
    }
  const [again = '', path = '', replayPath = ''] = replay.split(' ')
  return { seed: Number(again), path, replayPath, numRuns: Number(runs ?? RUNS), endOnFailure: true }
}

/** What a failure says of how to see it again. */
export function howToReplay(seed: number, path: string | null, report: string): string {
  const replayPath = /replayPath="([^"]*)"/.exec(report)?.[1] ?? ''
  return `See it again:\n  TENANTBOX_MODEL_REPLAY='${seed} ${path} ${replayPath}' npx vitest run packages/core/test/model`
}
