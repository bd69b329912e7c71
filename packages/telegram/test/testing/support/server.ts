import { BotApiServer, type BotApiServerOptions } from '@tenantbox/telegram/testing'
import { type Api, Bot, GrammyError } from 'grammy'
import { onTestFinished } from 'vitest'

/** A server that is closed when the test ends. */
export async function startServer(options?: BotApiServerOptions): Promise<BotApiServer> {
  const server = await BotApiServer.start(options)
  onTestFinished(() => server.close())
  return server
}

export function botOf(server: BotApiServer): Bot {
  return new Bot(server.token, { client: { apiRoot: server.url } })
}

/** Lets a bot poll until the test ends. */
export function run(bot: Bot): void {
  const running = bot.start()
  onTestFinished(async () => {
    await bot.stop()
    await running
  })
}

/** What a bot is told by a call that is refused. */
export async function refusal(call: Promise<unknown>): Promise<GrammyError> {
  try {
    await call
  } catch (error) {
    if (error instanceof GrammyError) return error
    throw error
  }
  throw new Error('The call was not refused.')
}

/** The description of the refusal of a `sendMessage`. */
export async function refusedText(api: Api, text: string, other: Parameters<Api['sendMessage']>[2] = {}) {
  const { description } = await refusal(api.sendMessage(7, text, other))
  return description
}
