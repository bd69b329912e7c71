import type { AgentFile, Json } from '../agent-events.js'
import { isTenantBoxError } from '../errors.js'
import type { GatewayHandler } from '../gateway-routes.js'

/** What an agent says first. All of it is the tenant's own words. Is `Json`, as an interface would not be. */
export type AgentPost = {
  /** The agent's own: the same again is the same message again. */
  readonly id: string
  readonly text: string
  readonly thread?: string
  /** Their paths are relative to the workspace, and nothing more is known of them. */
  readonly files?: readonly AgentFile[]
}

export const AGENT_POSTS_PATH = '/messages'

const MOST_BYTES = 256 * 1024
const MOST_ID_BYTES = 256
const MOST_FILES = 100
const MOST_PATH_BYTES = 4096
const RETRY_AFTER_S = 5

/**
 * Answers `POST /messages`: 202 once `post` has made the message durable, also for one that is known.
 *
 * @param post stores a message under an id of the mailbox's own
 */
export function agentPostsHandler<B extends Json>(
  fromAgent: (post: AgentPost, context: { tenant: string }) => B,
  post: (tenant: string, message: { id: string; body: B }) => Promise<unknown>,
): GatewayHandler {
  return async (request, { tenant }) => {
    if (new URL(request.url).pathname !== AGENT_POSTS_PATH) return refusal(404, 'not found')
    if (request.method !== 'POST') return refusal(405, 'only POST is known here', { allow: 'POST' })
    const text = await textOf(request)
    if (text === undefined) return refusal(413, `more than ${MOST_BYTES} bytes`)
    const said = parseAgentPost(text)
    if (typeof said === 'string') return refusal(400, said)
    try {
      // Apart from the app's own ids: an agent cannot make the app's messages look known.
      await post(tenant, { id: `agent:${said.id}`, body: fromAgent(said, { tenant }) })
      return Response.json({ id: said.id }, { status: 202 })
    } catch (error) {
      if (isTenantBoxError(error, 'MAILBOX_FULL')) return refusal(429, 'too many messages wait', LATER)
      if (isTenantBoxError(error, 'NOT_STORED', 'POOL_CLOSED')) return refusal(503, 'not now', LATER)
      throw error
    }
  }
}

const LATER = { 'retry-after': String(RETRY_AFTER_S) }

function refusal(status: number, error: string, headers: Record<string, string> = {}): Response {
  return Response.json({ error }, { status, headers })
}

/** Undefined when it is too long. */
async function textOf({ body }: Request): Promise<string | undefined> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of body ?? []) {
    bytes += chunk.byteLength
    if (bytes > MOST_BYTES) return undefined
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** The message, with what is known of it and nothing more; or what is wrong with it. */
export function parseAgentPost(text: string): AgentPost | string {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return 'not JSON'
  }
  if (!isObject(value)) return 'not an object'
  const { id, text: said, thread, files } = value
  if (!isText(id, MOST_ID_BYTES) || id === '') return `id must be a string of 1 to ${MOST_ID_BYTES} bytes`
  if (typeof said !== 'string') return 'text must be a string'
  if (thread !== undefined && !isText(thread, MOST_ID_BYTES))
    return `thread must be a string of at most ${MOST_ID_BYTES} bytes`
  if (files === undefined) return { id, text: said, ...(thread === undefined ? {} : { thread }) }
  if (!Array.isArray(files) || files.length > MOST_FILES) return `files must be at most ${MOST_FILES}`
  const parsed = files.map(parseFile)
  if (!parsed.every((file) => file !== undefined))
    return 'each of files must have a path in the workspace; name, mediaType and caption are strings, bytes a number'
  return { id, text: said, ...(thread === undefined ? {} : { thread }), files: parsed }
}

function parseFile(value: unknown): AgentFile | undefined {
  if (!isObject(value)) return undefined
  const { path, name, mediaType, bytes, caption } = value
  if (typeof path !== 'string' || !isRelativePath(path)) return undefined
  if (bytes !== undefined && !(typeof bytes === 'number' && Number.isSafeInteger(bytes) && bytes >= 0))
    return undefined
  const file: AgentFile = { path }
  if (bytes !== undefined) file.bytes = bytes
  for (const [key, text] of Object.entries({ name, mediaType, caption })) {
    if (text === undefined) continue
    if (typeof text !== 'string') return undefined
    file[key as 'name' | 'mediaType' | 'caption'] = text
  }
  return file
}

/** Below the workspace, as it is written; where its symlinks lead is for whoever opens it. */
function isRelativePath(path: string): boolean {
  if (path === '' || path.includes('\0') || Buffer.byteLength(path) > MOST_PATH_BYTES) return false
  return !path.startsWith('/') && !path.split('/').includes('..')
}

function isText(value: unknown, mostBytes: number): value is string {
  return typeof value === 'string' && Buffer.byteLength(value) <= mostBytes
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
