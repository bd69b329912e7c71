import type { BoxState } from '@tenantbox/core'
import type { TenantFlavor } from '@tenantbox/telegram'
import { isWorkspaceError } from '@tenantbox/workspace'
import { type Bot, type Context, GrammyError, InlineKeyboard, InputFile, type NextFunction } from 'grammy'
import { Notebook } from '../notebook/notebook.js'
import { wordingOf } from '../notebook/wording.js'
import { ExportTooLarge, exportZip } from './export-zip.js'

export type CompanionContext = Context & TenantFlavor

/** What Telegram shows in the bot's menu. */
export const COMMANDS = [
  { command: 'start', description: 'What I am and what I can do' },
  { command: 'memory', description: 'What I remember of you' },
  { command: 'reminders', description: 'What I will remind you of' },
  { command: 'status', description: 'How your box is doing' },
  { command: 'cancel', description: 'Stop the answer I am giving' },
  { command: 'export', description: 'All of your files, as a zip' },
  { command: 'forget', description: 'Delete everything I have of you' },
] as const

const WELCOME = `Hello! I am a companion with a box of my own for this chat: what you tell me here stays in it.

Tell me “remember that my cat is called Miso”, “remind me in 2 minutes to stretch”, or just talk to me.

${COMMANDS.map(({ command, description }) => `/${command} – ${description}`).join('\n')}`

const MOODS: Readonly<Record<BoxState, string>> = {
  absent: 'not made yet',
  creating: 'being made',
  stopped: 'asleep',
  starting: 'waking up',
  running: 'awake',
  pausing: 'dozing off',
  paused: 'dozing',
  resuming: 'waking up',
  stopping: 'falling asleep',
  removing: 'being put away',
}
const LONGEST_MESSAGE = 4_000

/** The commands read the workspace from outside: none of them wakes the box. */
export function addCommands(bot: Bot<CompanionContext>, brain: string): void {
  bot.use(explainFiles)

  bot.command('start', async (ctx) => {
    await ctx.reply(WELCOME)
  })

  bot.command('cancel', async (ctx) => {
    await ctx.reply(ctx.tenant.cancel() ? 'Stopped.' : 'There is nothing to stop.')
  })

  bot.command('memory', async (ctx) => {
    const { memory } = await ctx.tenant.workspace()
    const text = (await memory.read()).text.trim()
    if (text.length > LONGEST_MESSAGE) await ctx.tenant.sendFile({ path: 'MEMORY.md' })
    else await ctx.reply(text || 'I remember nothing yet. Tell me: “remember that …”.')
  })

  bot.command('reminders', async (ctx) => {
    const reminders = await (await notebookOf(ctx)).reminders.list()
    const lines = reminders.map((reminder, index) => `${index + 1}. ${reminder.text}, ${wordingOf(reminder)}`)
    const text =
      lines.length === 0 ? 'There are none.' : `${lines.join('\n')}\n\n“delete reminder 1” removes one.`
    await ctx.reply(cut(text))
  })

  bot.command('status', async (ctx) => {
    const { workspace, reminders } = await notebookOf(ctx)
    const { bytes } = await workspace.usage()
    const lines = [
      `Your box is ${MOODS[ctx.tenant.info()?.state ?? 'absent']}.`,
      `I think with: ${brain}.`,
      `Your files take ${Math.ceil(bytes / 1024)} KiB.`,
      `Reminders: ${(await reminders.list()).length}.`,
    ]
    await ctx.reply(lines.join('\n'))
  })

  bot.command('export', async (ctx) => {
    try {
      const zip = await exportZip(await ctx.tenant.workspace())
      await ctx.replyWithDocument(new InputFile(zip, 'companion.zip'))
    } catch (error) {
      if (!(error instanceof ExportTooLarge)) throw error
      await ctx.reply('Your files are more than Telegram lets me send at once.')
    }
  })

  addForget(bot)
}

/** Only who asked for it can confirm it: a group shares its companion. */
function addForget(bot: Bot<CompanionContext>): void {
  bot.command('forget', async (ctx) => {
    const who = ctx.from?.id ?? 0
    const keyboard = new InlineKeyboard()
      .text('Delete everything', `forget:${who}`)
      .text('Keep it', `keep:${who}`)
    const question =
      'Shall I delete your notes, reminders, files and our conversation? They cannot be brought back.'
    await ctx.reply(question, { reply_markup: keyboard })
  })

  bot.callbackQuery(/^(forget|keep):(\d+)$/, async (ctx) => {
    const [, choice, who] = ctx.match
    if (ctx.from.id !== Number(who))
      return void (await ctx.answerCallbackQuery('Only who asked for it can say.'))
    if (choice === 'forget') await ctx.tenant.forget()
    await unlessDone(
      ctx.editMessageText(choice === 'forget' ? 'Everything is deleted.' : 'I keep everything.'),
    )
    await unlessDone(ctx.answerCallbackQuery())
  })
}

/** An update may be handled twice, and Telegram refuses what it has done already. */
async function unlessDone(call: Promise<unknown>): Promise<void> {
  try {
    await call
  } catch (error) {
    if (!(error instanceof GrammyError && error.error_code === 400)) throw error
  }
}

/** Trying again mends no file. The message names it and what to do, and holds nothing of what stands in it. */
async function explainFiles(ctx: CompanionContext, next: NextFunction): Promise<void> {
  try {
    await next()
  } catch (error) {
    if (!isWorkspaceError(error) || error.code === 'BUSY') throw error
    await ctx.reply(`My files: ${error.message}`)
  }
}

async function notebookOf(ctx: CompanionContext): Promise<Notebook> {
  return new Notebook(await ctx.tenant.workspace())
}

function cut(text: string): string {
  // No half of a surrogate pair: Telegram would refuse all of it.
  return text.length <= LONGEST_MESSAGE
    ? text
    : `${text.slice(0, LONGEST_MESSAGE).replace(/[\uD800-\uDBFF]$/, '')}…`
}
