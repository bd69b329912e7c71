import type { SessionEntry } from '@tenantbox/workspace'
import type { Reminder } from '../../notebook/reminders.js'
import { momentWording, wordingOf } from '../../notebook/wording.js'
import { textOf } from '../text-of.js'
import type { ChatMessage } from './chat-types.js'

export interface Situation {
  readonly memory: string
  readonly reminders: readonly Reminder[]
  readonly timezone: string
  readonly now: Date
}

/** In characters: what a model is told must end somewhere. */
const MOST_MEMORY = 16_000
const MOST_HISTORY = 24_000

export function systemPrompt({ memory, reminders, timezone, now }: Situation): string {
  const planned = reminders.map((reminder) => `- ${reminder.id}: ${reminder.text}, ${wordingOf(reminder)}`)
  return [
    'You are a personal companion in a chat. Be brief, warm and honest. You know only what stands here.',
    'Use the tools to remember, to remind and to forget reminders; never claim to have done so without them.',
    `The user writes this ${momentWording(now.toISOString(), timezone)} (${timezone}).`,
    `What you remember of the user (MEMORY.md):\n${memory.slice(0, MOST_MEMORY) || 'Nothing yet.'}`,
    `Their reminders:\n${planned.join('\n') || 'None.'}`,
  ].join('\n\n')
}

/** The latest of what was said that fits, oldest first. */
export function conversation(history: readonly SessionEntry[]): readonly ChatMessage[] {
  const messages: ChatMessage[] = []
  let left = MOST_HISTORY
  for (const entry of history.toReversed()) {
    const content = textOf(entry)
    const role = ROLES[entry.role]
    if (role === undefined || content === '') continue
    left -= content.length
    if (left < 0) break
    messages.unshift({ role, content })
  }
  return messages
}

const ROLES = { user: 'user', assistant: 'assistant', system: undefined, tool: undefined } as const
