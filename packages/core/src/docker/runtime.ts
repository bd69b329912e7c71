import { posix } from 'node:path'

/** A runtime as the engine's `/info` shows it. */
export interface RegisteredRuntime {
  readonly path?: string
  readonly runtimeArgs?: readonly string[] | null
}

/** Both to open the gateway's socket and to make the agent's own. Older versions of gVisor knew the first flag. */
const CROSSING = /^--?(fsgofer-host-uds(=true)?|host-uds=all)$/
const NO_NETWORK = /^--?network=none$/

/**
 * How boxes under this runtime can be reached: gVisor keeps unix sockets inside unless it is told otherwise, which shows
 * in how it was registered. Of other runtimes, or one behind a script, nothing is known to the contrary.
 */
export function reachOf(runtime: RegisteredRuntime | undefined): 'socket' | 'port' | 'nothing' {
  if (posix.basename(runtime?.path ?? '') !== 'runsc') return 'socket'
  const args = runtime?.runtimeArgs ?? []
  if (args.some((arg) => CROSSING.test(arg))) return 'socket'
  return args.some((arg) => NO_NETWORK.test(arg)) ? 'nothing' : 'port'
}

/** What to do where sockets cannot cross. */
export const LET_SOCKETS_CROSS =
  'Register it in daemon.json with "runtimeArgs": ["--host-uds=all", "--network=none"], and restart the engine.'
