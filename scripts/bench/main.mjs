import { inSession } from '../setup/session.mjs'

/** @param {'main' | 'soak'} entry of the package bench */
export function runBench(entry) {
  return inSession({ build: ['@tenantbox/bench'] }, ({ run }) =>
    run('node', '--expose-gc', `bench/dist/${entry}.js`, ...process.argv.slice(2)),
  )
}
