const LONGEST_REQUEST = 512 * 1024

/** A request that goes no further. The box is told the code. */
export class Refusal extends Error {
  override readonly name = 'Refusal'
  readonly status: number
  readonly code: string
  readonly #retryAfterMs: number | undefined

  constructor(status: number, code: string, retryAfterMs?: number) {
    super(code)
    this.status = status
    this.code = code
    this.#retryAfterMs = retryAfterMs
  }

  response(): Response {
    const headers = this.#retryAfterMs ? { 'retry-after': String(Math.ceil(this.#retryAfterMs / 1_000)) } : {}
    return Response.json({ error: { code: this.code } }, { status: this.status, headers })
  }
}

/**
 * What is asked of the model, put together anew: only what a companion needs gets through, whatever else was in it.
 *
 * @throws Refusal
 */
export async function checkedRequest(request: Request, model: string): Promise<string> {
  const text = await request.text()
  if (text.length > LONGEST_REQUEST) throw new Refusal(413, 'too_long')
  const asked = parsed(text)
  if (asked.model !== model) throw new Refusal(403, 'model_not_allowed')
  if (!Array.isArray(asked.messages) || asked.messages.length === 0) throw new Refusal(400, 'no_messages')
  const tools = Array.isArray(asked.tools) && asked.tools.length > 0 ? { tools: asked.tools } : {}
  return JSON.stringify({ model, messages: asked.messages, ...tools, stream: true })
}

function parsed(text: string): Readonly<Record<string, unknown>> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new Refusal(400, 'not_json')
  }
  if (typeof value !== 'object' || value === null) throw new Refusal(400, 'no_object')
  return value as Record<string, unknown>
}
