import type { Json } from '@tenantbox/core'
import type { When } from '@tenantbox/workspace'
import type { Notebook } from '../../notebook/notebook.js'
import { ReminderRefused } from '../../notebook/reminders.js'
import { wordingOf } from '../../notebook/wording.js'
import type { ToolSpec } from './chat-types.js'

/** For one call of a tool. */
export interface ToolContext {
  readonly notebook: Notebook
  readonly timezone: string
  readonly thread: string | undefined
  /** The same for the same call of the same message, so that a repeated message repeats nothing. */
  readonly key: string
}

type Arguments = Readonly<Record<string, unknown>>

interface Tool {
  readonly description: string
  readonly parameters: object
  run(given: Arguments, context: ToolContext): Promise<string>
}

const string = (description: string) => ({ type: 'string', description })

const TOOLS: Readonly<Record<string, Tool>> = {
  remember: {
    description: 'Keeps a note about the user for good.',
    parameters: object({ note: string('One sentence.') }, ['note']),
    async run({ note }, { notebook }) {
      return `Kept: ${await notebook.notes.add(text('note', note))}`
    },
  },
  remind: {
    description:
      'Sends the user a reminder later, once or again and again. Give exactly one of at, every and cron.',
    parameters: object(
      {
        text: string('What to remind of.'),
        at: string('Once: local date and time of the user, such as 2026-05-04T18:00:00.'),
        every: string('Again and again after 15m, 2h, 1d or 1w.'),
        cron: string('Again and again at local times of the user: five cron fields, such as 0 9 * * 1-5.'),
      },
      ['text'],
    ),
    async run({ text: told, at, every, cron }, { notebook, timezone, thread, key }) {
      const reminder = { text: text('text', told), when: whenOf({ at, every, cron }), timezone, thread }
      const added = await notebook.reminders.add(reminder, key)
      return `Reminder ${added.id} will come ${wordingOf(added)}.`
    },
  },
  forget_reminder: {
    description: 'Removes a reminder.',
    parameters: object({ id: string('The id of the reminder.') }, ['id']),
    async run({ id }, { notebook }) {
      return (await notebook.reminders.remove(text('id', id)))
        ? 'Removed.'
        : 'There is no reminder with that id.'
    },
  },
}

export const TOOL_SPECS: readonly ToolSpec[] = Object.entries(TOOLS).map(
  ([name, { description, parameters }]) => ({
    type: 'function',
    function: { name, description, parameters },
  }),
)

export interface ToolResult {
  readonly input: Json
  readonly output: string
  readonly failed: boolean
}

/** Runs what the model asks for. What it got wrong is told to the model, which may try again. */
export async function runTool(name: string, rawArguments: string, context: ToolContext): Promise<ToolResult> {
  const input = parsed(rawArguments)
  try {
    const tool = Object.hasOwn(TOOLS, name) ? TOOLS[name] : undefined
    if (!tool) throw new ToolMisused(`There is no tool ${name}.`)
    if (input === undefined) throw new ToolMisused('The arguments must be a JSON object.')
    return { input: input as Json, output: await tool.run(input, context), failed: false }
  } catch (error) {
    if (!(error instanceof ToolMisused || error instanceof ReminderRefused)) throw error
    return { input: (input ?? null) as Json, output: error.message, failed: true }
  }
}

class ToolMisused extends Error {
  override readonly name = 'ToolMisused'
}

function object(properties: object, required: readonly string[]): object {
  return { type: 'object', properties, required, additionalProperties: false }
}

function parsed(json: string): Arguments | undefined {
  try {
    const value: unknown = JSON.parse(json)
    return typeof value === 'object' && value !== null ? (value as Arguments) : undefined
  } catch {
    return undefined
  }
}

function text(name: string, value: unknown): string {
  if (typeof value === 'string' && value.trim() !== '' && value.length <= 1_000) return value.trim()
  throw new ToolMisused(`${name} must be a text of at most 1000 characters.`)
}

function whenOf({ at, every, cron }: Arguments): When {
  const [when, ...more] = [
    ...(typeof at === 'string' ? [{ at }] : []),
    ...(typeof every === 'string' ? [{ every }] : []),
    ...(typeof cron === 'string' ? [{ cron }] : []),
  ]
  if (when && more.length === 0) return when
  throw new ToolMisused('Give exactly one of at, every and cron, as a text.')
}
