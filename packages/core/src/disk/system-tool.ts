import { execFile } from 'node:child_process'

/** Where administrators' tools are, which a service's PATH often lacks. */
const PATH = `${process.env.PATH ?? ''}:/usr/sbin:/usr/bin:/sbin:/bin`

/**
 * Runs one of the system's tools to its end and returns what it wrote. When the signal aborts it is ended, and the
 * signal's reason thrown.
 *
 * @param allowed exit codes that are no failure
 */
export function runTool(
  tool: string,
  args: readonly string[],
  { signal, allowed = [0] }: { signal?: AbortSignal | undefined; allowed?: readonly number[] } = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, PATH, LC_ALL: 'C' }
    execFile(tool, args, { env, ...(signal ? { signal } : {}) }, (error, stdout, stderr) => {
      if (!error || allowed.some((code) => code === error.code)) resolve(stdout)
      else if (signal?.aborted) reject(signal.reason)
      else reject(new Error(`${tool}: ${stderr.trim() || error.message}`, { cause: error }))
    })
  })
}
