import type { AgentEvent, AgentMessage } from '@tenantbox/core'
import { type Brain, BrainError, type Turn } from '../brain.js'
import { streamChat } from './chat-stream.js'
import type { ChatDelta, ChatMessage, ToolCall } from './chat-types.js'
import { conversation, systemPrompt } from './prompt.js'
import { runTool, TOOL_SPECS } from './tools.js'

export interface ModelOptions {
  readonly model: string
  /** The unix socket on which the gateway answers. */
  readonly gateway: string
}

/** How often the model may use tools for one message, and how many at a time. */
const MOST_ROUNDS = 5
const MOST_CALLS = 10
/** Of one answer, in characters. */
const MOST_TEXT = 60_000

/** Any model behind an OpenAI-compatible API, asked through the gateway. */
export function modelBrain({ model, gateway }: ModelOptions): Brain {
  return { name: model, answer: (turn) => answer(model, gateway, turn) }
}

async function* answer(model: string, gateway: string, turn: Turn): AsyncGenerator<AgentEvent> {
  const { message, notebook, now, history, signal } = turn
  const timezone = (await notebook.settings.timezone()) ?? 'UTC'
  const situation = {
    memory: (await notebook.workspace.memory.read()).text,
    reminders: await notebook.reminders.list(),
    timezone,
    now,
  }
  const messages: ChatMessage[] = [
    { role: 'system', content: systemPrompt(situation) },
    ...conversation(history),
    { role: 'user', content: withFiles(message) },
  ]
  let calls = 0
  let hasSpoken = false
  for (let round = 0; round < MOST_ROUNDS; round++) {
    const reply = new Reply()
    for await (const delta of streamChat(
      gateway,
      { model, messages, tools: TOOL_SPECS, stream: true },
      signal,
    )) {
      reply.add(delta)
      if (delta.content) yield { type: 'text', text: delta.content }
    }
    hasSpoken ||= reply.text.trim() !== ''
    const wanted = reply.toolCalls()
    if (wanted.length === 0) {
      if (!hasSpoken) throw new BrainError('My model said nothing.', { retryable: true })
      return
    }
    messages.push({ role: 'assistant', content: reply.text || null, tool_calls: wanted })
    for (const call of wanted) {
      if (++calls > MOST_CALLS)
        throw new BrainError('My model asks for too much at once.', { retryable: false })
      const { name, arguments: given } = call.function
      yield { type: 'tool', callId: call.id, name, state: 'started' }
      const key = `${message.id}#${calls}`
      const { input, output, failed } = await runTool(name, given, {
        notebook,
        timezone,
        thread: message.thread,
        key,
      })
      yield { type: 'tool', callId: call.id, name, state: failed ? 'failed' : 'done', input, output }
      messages.push({ role: 'tool', tool_call_id: call.id, content: output })
    }
  }
  throw new BrainError('My model could not come to an end.', { retryable: false })
}

function withFiles({ text, files = [] }: AgentMessage): string {
  return [text, ...files.map(({ path }) => `(They sent a file: ${path})`)].filter(Boolean).join('\n')
}

/** One answer of the model, put together of its pieces. */
class Reply {
  text = ''
  readonly #calls: { id: string; name: string; arguments: string }[] = []

  add({ content, tool_calls: pieces = [] }: ChatDelta): void {
    this.text += content ?? ''
    for (const { index, id, function: called } of pieces) {
      if (index >= MOST_CALLS)
        throw new BrainError('My model asks for too much at once.', { retryable: false })
      const call = this.#calls[index] ?? { id: '', name: '', arguments: '' }
      this.#calls[index] = {
        id: call.id || (id ?? ''),
        name: call.name + (called?.name ?? ''),
        arguments: call.arguments + (called?.arguments ?? ''),
      }
    }
    const length = this.text.length + this.#calls.reduce((sum, call) => sum + call.arguments.length, 0)
    if (length > MOST_TEXT) throw new BrainError('My model talks without end.', { retryable: false })
  }

  toolCalls(): readonly ToolCall[] {
    // What came under a high index alone leaves holes.
    return this.#calls.flatMap(({ id, name, arguments: given }) => [
      { id, type: 'function' as const, function: { name, arguments: given } },
    ])
  }
}
