import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BoxSpec, Driver, IdleOptions } from '@tenantbox/core'
import { BotApiServer, type TestChat } from '@tenantbox/telegram/testing'
import { onTestFinished } from 'vitest'
import { TOKEN } from '../../../../packages/telegram/test/support/token-watch.js'
import { type CompanionApp, companionApp } from '../../src/gateway/app.js'
import type { ModelAccess } from '../../src/gateway/llm/llm-proxy.js'

export interface Boxes {
  readonly driver: Driver
  readonly box: BoxSpec
}

export interface CompanionWorld {
  readonly telegram: BotApiServer
  readonly app: CompanionApp
  readonly dataDir: string
  /** All that was logged. */
  readonly lines: readonly string[]
  /** Someone says something, and the companion answers. Returns the answer's text. */
  ask(chat: TestChat, text: string, expected: RegExp): Promise<string>
}

/** The whole app, on a Telegram of its own. */
export async function companionWorld(
  boxes: Boxes,
  options: { idle?: IdleOptions; model?: ModelAccess } = {},
): Promise<CompanionWorld> {
  const { idle, model } = options
  const dataDir = await mkdtemp(join(tmpdir(), 'companion-'))
  const telegram = await BotApiServer.start({ token: TOKEN })
  const lines: string[] = []
  const app = companionApp({
    token: telegram.token,
    apiRoot: telegram.url,
    pool: { name: `t${randomBytes(6).toString('hex')}`, ...boxes, dataDir, idle, onClose: 'remove' },
    model,
    log: (event, fields) => lines.push(`${event} ${JSON.stringify(fields)}`),
  })
  onTestFinished(async () => {
    await app.close()
    await telegram.close()
    await rm(dataDir, { recursive: true })
  })
  await app.start()
  return {
    telegram,
    app,
    dataDir,
    lines,
    async ask(chat, text, expected) {
      chat.user().say(text)
      return (await chat.answer(expected, { timeout: 20_000 })).text
    },
  }
}
