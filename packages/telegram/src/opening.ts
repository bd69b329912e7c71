import { join } from 'node:path'
import type { Bot, Context } from 'grammy'
import type { Warn } from './common/warnings.js'
import { dueId } from './handling/letter.js'
import type { TenantFlavor } from './handling/tenant-context.js'
import type { Letters } from './letters.js'
import type { ResolvedTelegramOptions } from './options.js'
import { Albums } from './receiving/albums.js'
import { Intake } from './receiving/intake.js'
import type { Migrations } from './receiving/migrations.js'
import type { NobodysUpdates } from './receiving/nobodys-updates.js'
import { startReminders } from './receiving/reminders.js'

export interface OpeningHost<C extends Context & TenantFlavor> {
  readonly bot: Bot<C>
  readonly options: ResolvedTelegramOptions<C>
  readonly warn: Warn
  readonly migrations: Migrations
  readonly letters: Letters<C>
  readonly nobodys: NobodysUpdates<C>
  /** Where the gateway keeps what belongs to no tenant. */
  readonly directory: string
}

/** What is there once the gateway is open. */
export interface Opened {
  readonly intake: Intake
  close(): Promise<void>
}

/** Goes on with what an earlier process has left. The pool is open, and the bot knows who it is. What fails is undone. */
export async function open<C extends Context & TenantFlavor>(
  host: OpeningHost<C>,
  signal: AbortSignal,
): Promise<Opened> {
  const { options, warn, migrations, letters, directory } = host
  const { pool, gatherMs, clock, reminders } = options
  const albums: Albums = new Albums({
    directory: join(directory, 'albums'),
    gatherMs,
    clock,
    post: (tenant, updates) => intake.takeAlbum(tenant, updates),
    onFailure: (tenant, cause) =>
      warn('NOT_STORED', 'An album could not be stored. It is tried again.', { tenant, cause }),
  })
  const intake: Intake = makeIntake(host, albums)
  const undo: (() => Promise<void>)[] = [() => albums.close()]
  const close = async (): Promise<void> => {
    for (const step of undo.reverse()) await step()
  }
  try {
    await migrations.load()
    await albums.load()
    if (reminders) {
      const started = await startReminders({
        pool,
        stateDir: join(directory, 'scheduler'),
        clock,
        warn,
        post: async (due) => void (await letters.post(due.tenant, dueId(due), { kind: 'due', due })),
      })
      undo.push(() => started.close())
    }
    await letters.start()
    signal.throwIfAborted()
  } catch (error) {
    await close()
    throw error
  }
  return { intake, close }
}

function makeIntake<C extends Context & TenantFlavor>(
  { bot, options, warn, migrations, letters, nobodys }: OpeningHost<C>,
  albums: Albums,
): Intake {
  const { tenant, lane, gatherMs } = options
  return new Intake({
    ...{ api: bot.api, me: bot.botInfo, migrations, albums, warn, tenant, lane },
    gathers: gatherMs > 0,
    post: (whose, updates, where) => letters.postUpdates(whose, updates, where),
    arrived: (whose) => letters.arrived(whose),
    flooded: (whose, ctx, error) => letters.flooded(whose, ctx, error),
    handleDirectly: (update) => nobodys.handle(update),
  })
}
