import type { Readable } from 'node:stream'
import { StringDecoder } from 'node:string_decoder'
import { orAbort } from './abort.js'
import type { BoxProcess } from './driver.js'
import { TenantBoxError } from './errors.js'

export interface ExecResult {
  exitCode: number
  stdout: string
  stderr: string
  /** Whether `maxOutput` cut something off. */
  truncated: boolean
}

/**
 * Runs a process to its end, keeping at most `maxOutput` bytes of what it says and reading the rest away, so that it
 * never blocks on a full pipe. When the signal aborts, the process is killed and the signal's reason thrown; if it could
 * not be killed, the error says that it may still run.
 */
export async function runToEnd(
  process: BoxProcess,
  options: { input: string | Uint8Array | undefined; maxOutput: number; signal: AbortSignal },
): Promise<ExecResult> {
  const budget = { left: options.maxOutput, truncated: false }
  // A command may well end without reading its input: the broken pipe is its own affair.
  process.stdin.on('error', () => undefined)
  process.stdin.end(options.input)
  const finished = Promise.all([
    process.exited,
    collect(process.stdout, budget),
    collect(process.stderr, budget),
  ])
  try {
    const [exitCode, stdout, stderr] = await orAbort(finished, options.signal)
    return { exitCode, stdout, stderr, truncated: budget.truncated }
  } catch (error) {
    await end(process, options.signal)
    throw error
  }
}

async function end(process: BoxProcess, signal: AbortSignal): Promise<void> {
  try {
    await process.kill()
  } catch (cause) {
    if (!signal.aborted) return
    throw new TenantBoxError(
      'TIMEOUT',
      'The command was given up, but could not be killed: it may still run until the box stops.',
      { operation: 'exec', afterMs: 0 },
      { cause: signal.reason ?? cause },
    )
  }
}

async function collect(stream: Readable, budget: { left: number; truncated: boolean }): Promise<string> {
  const decoder = new StringDecoder('utf8')
  let text = ''
  for await (const chunk of stream) {
    const bytes = chunk as Buffer
    const kept = bytes.length <= budget.left ? bytes : bytes.subarray(0, budget.left)
    if (kept.length < bytes.length) budget.truncated = true
    budget.left -= kept.length
    text += decoder.write(kept)
  }
  return text + decoder.end()
}
