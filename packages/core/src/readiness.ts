import type { Duplex } from 'node:stream'
import { orAbort } from './abort.js'
import type { Clock } from './clock.js'
import type { BoxExit, LogLine } from './driver.js'
import { isTenantBoxError, TenantBoxError } from './errors.js'
import { toMessage } from './text.js'
import { deadline, sleep } from './wait.js'

/** What a probe of one's own gets to see of a box that is not ready yet. */
export interface ProbeTarget {
  fetch(path: string, init?: RequestInit): Promise<Response>
}

/**
 * When a started box counts as ready:
 * - `'agent'`: `GET /healthz` was answered with 200. A connection alone proves nothing: a paused box takes it too.
 * - `'started'`: it has not exited within 250 ms; a missing command starts and then exits.
 * - `'healthcheck'`: the image's own health check says so.
 * - `{ http }`: a `GET` of this path was answered with 2xx.
 * - `{ port }`: this port takes a connection.
 * - `{ log }`: a line of its log holds this string, or matches this expression.
 * - a function: it resolved to true. What it throws means not yet.
 */
export type Readiness =
  | 'agent'
  | 'started'
  | 'healthcheck'
  | { http: string }
  | { port: number }
  | { log: RegExp | string }
  | ((box: ProbeTarget, signal: AbortSignal) => Promise<boolean>)

/** A box that has been started. */
export interface StartedBox extends ProbeTarget {
  readonly tenant: string
  /** Resolves when the agent takes a connection. */
  knock(signal: AbortSignal): Promise<void>
  dial(port: number, signal: AbortSignal): Promise<Duplex>
  /** Its log since the start, and what follows. */
  logs(signal: AbortSignal): AsyncIterable<Pick<LogLine, 'text'>>
  health(signal: AbortSignal): Promise<'starting' | 'healthy' | 'unhealthy'>
  /** Resolves when it dies. Never rejects. */
  readonly exited: Promise<BoxExit>
}

const HEALTH_PATH = '/healthz'
const MAX_HEALTH_CHARACTERS = 64 * 1024
const STARTED_MS = 250
const SHORTEST_PAUSE_MS = 5
const LONGEST_PAUSE_MS = 250
/** A look at the health check is a question to the engine. */
const SHORTEST_HEALTH_PAUSE_MS = 50
/** A pause is this part of the time waited: so late, relatively, is readiness noticed at most. */
const PAUSE_SHARE = 1 / 20
const FIRST_ATTEMPT_MS = 1_000
const LONGEST_ATTEMPT_MS = 10_000

/**
 * Resolves when the box is ready.
 *
 * @throws TenantBoxError `START_FAILED` as soon as the box has died (its log is not included)
 * @throws the signal's reason; a `TIMEOUT` has the last failure of the probe as its cause
 */
export async function waitUntilReady(
  probe: Readiness,
  box: StartedBox,
  { signal, clock }: { signal: AbortSignal; clock: Clock },
): Promise<void> {
  signal.throwIfAborted()
  const wait = new AbortController()
  const onAbort = (): void => wait.abort(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  void box.exited.then((exit) => wait.abort(died(box.tenant, exit)))
  try {
    if (probe === 'started') await sleep(clock, STARTED_MS, wait.signal)
    else await poll(attemptOf(probe, box), clock, wait.signal)
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

/** Whether the agent says that it is at work by itself. One that gives no answer is not. */
export async function isBusy(fetch: ProbeTarget['fetch'], signal: AbortSignal): Promise<boolean> {
  try {
    const response = await fetch(HEALTH_PATH, { signal })
    const text = await readText(response)
    if (response.status !== 200 || text === undefined) return false
    const health: unknown = JSON.parse(text)
    return typeof health === 'object' && health !== null && 'busy' in health && health.busy === true
  } catch {
    signal.throwIfAborted()
    return false
  }
}

interface Attempt {
  /** True, or false or a throw for "not yet". */
  run(signal: AbortSignal): Promise<boolean>
  readonly shortestPauseMs: number
  /** Whether one attempt has a deadline, so that one that hangs does not stop the others. */
  readonly bounded: boolean
}

function attemptOf(probe: Exclude<Readiness, 'started'>, box: StartedBox): Attempt {
  const often = { shortestPauseMs: SHORTEST_PAUSE_MS, bounded: true }
  if (typeof probe === 'function')
    return { ...often, run: async (signal) => (await probe(within(box, signal), signal)) === true }
  if (probe === 'agent')
    return { ...often, run: (signal) => answers(box, HEALTH_PATH, (status) => status === 200, signal) }
  if (probe === 'healthcheck')
    return {
      ...often,
      shortestPauseMs: SHORTEST_HEALTH_PAUSE_MS,
      run: async (signal) => {
        const health = await box.health(signal)
        if (health !== 'healthy') throw new Error(`the health check of the image says "${health}"`)
        return true
      },
    }
  if ('http' in probe)
    return {
      ...often,
      run: (signal) => answers(box, probe.http, (status) => status >= 200 && status < 300, signal),
    }
  if ('port' in probe)
    return {
      ...often,
      run: async (signal) => {
        const connection = await box.dial(probe.port, signal)
        connection.destroy()
        return true
      },
    }
  return { ...often, bounded: false, run: (signal) => logHas(box, probe.log, signal) }
}

/** What a probe asks ends with its attempt, even when it does not pass the signal on. */
function within(box: StartedBox, signal: AbortSignal): ProbeTarget {
  return { fetch: (path, init) => box.fetch(path, { signal, ...init }) }
}

async function answers(
  box: StartedBox,
  path: string,
  accepts: (status: number) => boolean,
  signal: AbortSignal,
): Promise<boolean> {
  // Most attempts find that nobody listens yet, and a request is a costly way to see that.
  await box.knock(signal)
  const response = await box.fetch(path, { signal })
  await response.body?.cancel()
  if (!accepts(response.status)) throw new Error(`GET ${path} was answered with status ${response.status}`)
  return true
}

async function logHas(box: StartedBox, wanted: RegExp | string, signal: AbortSignal): Promise<boolean> {
  // A copy: with `g` or `y` an expression remembers where it was, also for the next box.
  const pattern = typeof wanted === 'string' ? wanted : new RegExp(wanted)
  for await (const { text } of box.logs(signal))
    if (typeof pattern === 'string' ? text.includes(pattern) : pattern.test(text)) return true
  throw new Error(`no line of the log matches ${wanted}`)
}

async function poll(attempt: Attempt, clock: Clock, signal: AbortSignal): Promise<void> {
  const began = clock.monotonic()
  let patience = FIRST_ATTEMPT_MS
  let last: unknown
  try {
    while (true) {
      const bound = deadline(clock, 'probe', { signal, timeout: attempt.bounded ? patience : undefined })
      try {
        if (await orAbort(attempt.run(bound.signal), bound.signal)) return
        last = new Error('the probe says "not yet"')
      } catch (error) {
        signal.throwIfAborted()
        last = error
        // It may need longer than that by nature.
        if (bound.signal.aborted) patience = Math.min(patience * 2, LONGEST_ATTEMPT_MS)
      } finally {
        bound.done()
      }
      const pause = (clock.monotonic() - began) * PAUSE_SHARE
      await sleep(clock, Math.min(Math.max(pause, attempt.shortestPauseMs), LONGEST_PAUSE_MS), signal)
    }
  } catch (error) {
    throw last === undefined ? error : withCause(error, last)
  }
}

function withCause(error: unknown, cause: unknown): unknown {
  if (!isTenantBoxError(error, 'TIMEOUT')) return error
  const { message, details, tenant } = error
  return new TenantBoxError('TIMEOUT', `${message} Not ready yet: ${toMessage(cause)}`, details, {
    tenant,
    cause,
  })
}

function died(tenant: string, { code, oom }: BoxExit): TenantBoxError<'START_FAILED'> {
  const how = oom ? 'ran out of memory' : `exited${code === undefined ? '' : ` with code ${code}`}`
  return new TenantBoxError(
    'START_FAILED',
    `The box of tenant ${JSON.stringify(tenant)} ${how} before it was ready. Its log may say why.`,
    { phase: 'ready', oom, lastLogs: [], ...(code === undefined ? {} : { code }) },
    { tenant },
  )
}

/** The body as text; undefined when it is too long to be an answer to a health check. */
async function readText({ body }: Response): Promise<string | undefined> {
  const utf8 = new TextDecoder()
  let text = ''
  for await (const chunk of body ?? []) {
    text += utf8.decode(chunk, { stream: true })
    if (text.length > MAX_HEALTH_CHARACTERS) return undefined
  }
  return text + utf8.decode()
}
