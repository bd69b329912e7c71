import type { Clock } from './clock.js'
import type { DriverCall, LogLine, LogsRequest } from './driver.js'
import { printable, toMessage } from './text.js'
import { deadline } from './wait.js'

const LINES = 20
const LONGEST_LINE = 1024
const DEADLINE_MS = 1_000

/** The last that a box wrote, for an error: at most 20 lines of 1 KiB, with nothing in them that a terminal would obey. */
export async function lastLines(
  clock: Clock,
  logs: (request: LogsRequest, call: DriverCall) => AsyncIterable<LogLine>,
): Promise<string[]> {
  const lines: string[] = []
  const bound = deadline(clock, 'logs', { timeout: DEADLINE_MS })
  try {
    for await (const { text } of logs({ tail: LINES }, { signal: bound.signal }))
      lines.push(printable(text.slice(0, LONGEST_LINE)))
  } catch (error) {
    // What went wrong with the box matters more than its last words.
    lines.push(`(no more logs: ${toMessage(error)})`)
  } finally {
    bound.done()
  }
  return lines.slice(-LINES)
}
