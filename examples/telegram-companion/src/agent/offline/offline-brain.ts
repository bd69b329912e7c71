import type { AgentEvent } from '@tenantbox/core'
import { type Reminder, ReminderRefused } from '../../notebook/reminders.js'
import { zoneOf } from '../../notebook/settings.js'
import { momentWording, wordingOf } from '../../notebook/wording.js'
import type { Brain, Turn } from '../brain.js'
import { verbatim } from '../markdown.js'
import { type Intent, intentOf } from './intents.js'
import { recall } from './recall.js'
import { parseRequest } from './when.js'

const ABILITIES = `I go by rules, without a language model, but I am reliable at this:
• remember that my cat is called Miso
• what do you know?
• forget my cat
• remind me in 2 minutes to stretch
• remind me every weekday at 9 to stand up
• my reminders, delete reminder 1
• my time zone is Europe/Berlin`

/** Needs no key and no network, and knows what is in its notebook. */
export const offlineBrain: Brain = {
  name: 'offline',
  async *answer(turn: Turn): AsyncGenerator<AgentEvent> {
    yield { type: 'text', text: await reply(intentOf(turn.message.text), turn) }
  },
}

async function reply(intent: Intent, turn: Turn): Promise<string> {
  const { notes, reminders, settings } = turn.notebook
  switch (intent.kind) {
    case 'greet':
      return `Hello${turn.message.from?.name ? `, ${verbatim(turn.message.from.name)}` : ''}! Tell me what to remember, or ask for help.`
    case 'thank':
      return 'You are welcome.'
    case 'help':
      return ABILITIES
    case 'remember':
      return `I will remember: ${verbatim(await notes.add(intent.note))}`
    case 'forget': {
      const removed = await notes.remove(intent.words)
      return removed.length === 0
        ? `I have no note with “${verbatim(intent.words)}”.`
        : list('I no longer know:', removed)
    }
    case 'list-notes': {
      const all = await notes.list()
      return all.length === 0 ? 'Nothing yet. Tell me: “remember that …”.' : list('This is what I know:', all)
    }
    case 'remind':
      return await remind(intent.words, turn)
    case 'list-reminders': {
      const all = await reminders.list()
      return all.length === 0
        ? 'There are none. Tell me: “remind me tomorrow at 9 to …”.'
        : all.map((reminder, index) => `${index + 1}. ${reminderLine(reminder)}`).join('\n')
    }
    case 'drop-reminder': {
      const reminder = (await reminders.list())[intent.number - 1]
      if (!reminder) return `There is no reminder ${intent.number}.`
      await reminders.remove(reminder.id)
      return `Removed: ${reminderLine(reminder)}`
    }
    case 'set-timezone': {
      const zone = zoneOf(intent.zone)
      if (zone === undefined)
        return `I do not know the time zone “${verbatim(intent.zone)}”. They are written like Europe/Berlin.`
      await settings.setTimezone(zone)
      return `Your time zone is ${verbatim(zone)}. New reminders follow it.`
    }
    case 'tell-time': {
      const zone = (await settings.timezone()) ?? 'UTC'
      return `You write this ${momentWording(turn.now.toISOString(), zone)} (${verbatim(zone)}).`
    }
    case 'other':
      return await chat(turn)
  }
}

async function remind(words: string, { message, now, notebook }: Turn): Promise<string> {
  const told = await notebook.settings.timezone()
  const timezone = told ?? 'UTC'
  const request = parseRequest(words, now, timezone)
  if (!request)
    return 'When, and of what? For example: “remind me tomorrow at 18:00 to call mum”, “remind me every weekday at 9 to stand up”.'
  try {
    const { thread } = message
    const reminder = await notebook.reminders.add({ ...request, timezone, thread }, message.id)
    const zone = told
      ? ''
      : '\nI count in UTC. Tell me “my time zone is Europe/Berlin”, or whichever is yours.'
    return `I will remind you ${wordingOf(reminder)}: ${verbatim(reminder.text)}${zone}`
  } catch (error) {
    if (error instanceof ReminderRefused) return `I cannot remind you of that: ${verbatim(error.message)}`
    throw error
  }
}

async function chat({ message, notebook }: Turn): Promise<string> {
  const [file] = message.files ?? []
  if (file) return `I have put ${verbatim(file.name ?? file.path)} among your files.`
  const known = recall(message.text, await notebook.notes.list())
  if (known.length > 0) return list('You told me:', known)
  return message.text.trim().endsWith('?')
    ? 'I do not know. If you tell me once (“remember that …”), I will.'
    : 'I hear you, but I only understand simple requests. Ask for help to see which.'
}

function reminderLine(reminder: Reminder): string {
  return `${verbatim(reminder.text)}, ${verbatim(wordingOf(reminder))}`
}

function list(title: string, items: readonly string[]): string {
  return [title, ...items.map((item) => `• ${verbatim(item)}`)].join('\n')
}
