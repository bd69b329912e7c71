import { readFile, stat } from 'node:fs/promises'
import { errnoOf } from '../errno.js'
import { isTenantBoxError, TenantBoxError } from '../errors.js'
import { printable, toMessage } from '../text.js'

/** Where an engine listens: the path of its socket, or its host and port. */
export interface Endpoint {
  readonly kind: 'socket' | 'remote'
  readonly address: string
}

/** The engine did not answer in time. */
export class Unanswered extends Error {
  constructor(afterMs: number) {
    super(`no answer within ${afterMs} ms`)
  }
}

/** By these a proxy before the engine says that it is not there; the engine itself, that what it rests on is not. */
const UNABLE: ReadonlySet<number> = new Set([502, 503, 504])
/** What containerd says, or the engine of it, while it is away: with any status, and of every box alike. */
const CONTAINERD_AWAY = /: unavailable$/

/** The engine understood, and said no. */
export class EngineRefusal extends Error {
  override readonly name = 'EngineRefusal'
  /** The HTTP status. */
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

/** The engine's refusal, if that is what a failed call failed with, and not that it can work for nobody just now. */
export function refusalOf(error: unknown): EngineRefusal | undefined {
  const answer = answerOf(error)
  return answer && !UNABLE.has(answer.status) && !CONTAINERD_AWAY.test(answer.message) ? answer : undefined
}

/** The same for calls that the engine passes on, whose answer says nothing of the engine. */
export function answerOf(error: unknown): EngineRefusal | undefined {
  return isTenantBoxError(error) && error.cause instanceof EngineRefusal ? error.cause : undefined
}

/** Tells what went wrong with a call or a stream. Errors that say so already pass through. */
export async function engineFailure(operation: string, error: unknown, endpoint: Endpoint): Promise<unknown> {
  if (isTenantBoxError(error)) return error
  const refusal = toRefusal(error)
  const hint = refusal ? "The engine's log tells more." : await hintFor(error, endpoint)
  const what = refusal
    ? `refused to ${operation}: ${refusal.message}`
    : `did not ${operation}: ${toMessage(error)}`
  return new TenantBoxError(
    'ENGINE_UNAVAILABLE',
    `The engine at ${endpoint.address} ${what.replace(/[.\s]*$/, '')}. ${hint}`,
    { endpoint: endpoint.address, hint },
    { cause: refusal ?? error },
  )
}

/** dockerode's error for an answer that is no success: `{ statusCode, json: { message } }`. */
function toRefusal(error: unknown): EngineRefusal | undefined {
  if (!(error instanceof Error) || !('statusCode' in error) || typeof error.statusCode !== 'number')
    return undefined
  const said = 'json' in error ? error.json : undefined
  const hasMessage = said !== null && typeof said === 'object' && 'message' in said
  return new EngineRefusal(
    error.statusCode,
    printable((hasMessage ? String(said.message) : error.message).trim()),
  )
}

async function hintFor(error: unknown, endpoint: Endpoint): Promise<string> {
  if (error instanceof Unanswered) return 'It accepts connections but hangs: look at its log, or restart it.'
  switch (errnoOf(error)) {
    case 'ENOENT':
      return 'No engine listens there: start Docker, or name its socket with docker({ socketPath }) or DOCKER_HOST.'
    case 'ECONNREFUSED':
      return 'Nothing answers there: start Docker.'
    case 'EACCES':
    case 'EPERM':
      return `This user may not use the socket: run as root, or as a member of ${await socketGroup(endpoint)}.`
    case 'ENOTFOUND':
    case 'EHOSTUNREACH':
    case 'ETIMEDOUT':
      return 'Its machine cannot be reached: check the address and the network.'
    default:
      return 'The connection broke: is the engine restarting?'
  }
}

async function socketGroup({ kind, address }: Endpoint): Promise<string> {
  try {
    if (kind === 'socket') {
      const { gid } = await stat(address)
      const groups = (await readFile('/etc/group', 'utf8')).split('\n').map((line) => line.split(':'))
      return `the group ${groups.find((group) => group[2] === String(gid))?.[0] ?? gid}`
    }
  } catch {
    // Only a better hint is lost.
  }
  return 'the group that owns it'
}
