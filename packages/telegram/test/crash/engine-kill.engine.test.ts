import { randomBytes, randomInt } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type PoolEvents, slugOf, TenantPool } from '@tenantbox/core'
import { docker } from '@tenantbox/core/docker'
import { BotApiServer } from '@tenantbox/telegram/testing'
import { Bot } from 'grammy'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { importImage, nodeFiles } from '../../../core/test/docker/image.js'
import { PrivateEngine, whyNoPrivateEngine } from '../../../core/test/faults/private-engine.js'
import { telegram } from '../../src/index.js'
import { Log } from '../support/log.js'
import { atEnd, gate, type TestContext, temporaryFolder } from '../support/setup.js'
import { TOKEN, watched } from '../support/token-watch.js'

const KILLS = 3
const CHATS = 20
/** In each chat, for each kill: half of them before it, the others while the engine is away. */
const MESSAGES = 9
/** So many chats are in the middle of an answer when the engine is killed. */
const SLOW = 3
/** The boxes of so many others are being put to sleep, or just woken. */
const SLEEPY = 4

const image = 'tenantbox-test:echo'
const NIGHTLY = process.env.TENANTBOX_NIGHTLY === '1'
const reason = NIGHTLY ? whyNoPrivateEngine() : 'it takes minutes; TENANTBOX_NIGHTLY=1 runs it too'
if (reason !== undefined) console.warn(`Left out: messages while an engine is killed (${reason}).`)

let engine: PrivateEngine

beforeAll(async () => {
  if (reason !== undefined) return
  engine = await PrivateEngine.open()
  const agent = readFileSync(new URL('agent.mjs', import.meta.url))
  const files = [...nodeFiles(), { path: 'app/agent.mjs', content: agent }]
  await importImage(engine.client, image, files, ['CMD ["/bin/node", "/app/agent.mjs"]'])
})

afterAll(() => engine?.close())

/** Which messages are in hand, and which of them were so while the engine was away. */
class Handlings {
  readonly cutInto = new Set<string>()
  readonly #inHand = new Set<string>()
  #away = false

  begin(text: string): void {
    this.#inHand.add(text)
    if (this.#away) this.cutInto.add(text)
  }

  end(text: string): void {
    this.#inHand.delete(text)
  }

  engineGoes(): void {
    this.#away = true
    for (const text of this.#inHand) this.cutInto.add(text)
  }

  engineIsBack(): void {
    this.#away = false
  }
}

interface Message {
  readonly chat: number
  readonly text: string
}

const chatsFrom = (first: number, count: number): number[] =>
  Array.from({ length: count }, (_, index) => 1 + ((first + index) % CHATS))

/** What people write around one kill: in each chat, the first is answered slowly in some of them. */
function messagesOf(kill: number): Message[] {
  const slow = chatsFrom(kill, SLOW)
  return Array.from({ length: CHATS * MESSAGES }, (_, index) => {
    const chat = 1 + (index % CHATS)
    const word = index < CHATS && slow.includes(chat) ? 'slow' : 'message'
    return { chat, text: `${word} ${kill}.${index}` }
  })
}

const killOf = (text: string): number => Number(/ (\d+)/.exec(text)?.[1])
const answerTo = (text: string): string => `answer to ${text}, all of it`
const isWhole = (answer: string): boolean => answer.endsWith(', all of it')

describe.skipIf(reason !== undefined)('an engine that is killed again and again', () => {
  test.each([
    ['with live-restore: every message is asked and answered once, in order', true],
    ['without: every message is answered once, in order; asked again is only what was in hand', false],
  ])(
    '%s',
    async (_, liveRestore) => {
      await engine.kill()
      await engine.start({ liveRestore })
      const dataDir = join(await temporaryFolder(), 'data')
      const server = await BotApiServer.start({ token: TOKEN })
      atEnd(() => server.close())
      const pool = new TenantPool({
        name: `t${randomBytes(6).toString('hex')}`,
        driver: docker({ socketPath: engine.socketPath }),
        dataDir,
        box: { image, stopGrace: '1s' },
        onClose: 'remove',
      })
      atEnd(() => pool.close({ drain: 0 }))
      const engineEvents = new Log<PoolEvents['engine']>()
      pool.on('engine', (event) => engineEvents.add(watched('engine event', event)))
      pool.on('warning', (warning) => watched('pool warning', warning))
      pool.on('transition', (event) => watched('transition', event))
      const held = new Log<string>()
      const gates = Array.from({ length: KILLS }, gate)
      pool.serve('/may-go-on', async (request) => {
        const text = decodeURIComponent(new URL(request.url).search.slice(1))
        if (!held.all.includes(text)) held.add(text)
        await gates[killOf(text)]?.passed
        return new Response()
      })
      const handlings = new Handlings()
      const bot = new Bot<TestContext>(TOKEN, { client: { apiRoot: server.url } })
      const tg = telegram(bot, {
        pool,
        editEvery: 20,
        maxAttempts: 99,
        onWarning: (warning) => watched('warning', warning),
        onFailure: (error) => String(watched('failure', error)),
      })
      atEnd(() => tg.close())
      bot.on('message:text', async (ctx) => {
        handlings.begin(ctx.msg.text)
        try {
          await ctx.tenant.answer()
        } finally {
          handlings.end(ctx.msg.text)
        }
      })
      await tg.start()
      const answered = new Set<string>()
      server.subscribe((event) => {
        if ('message' in event && isWhole(event.message.text)) answered.add(event.message.text)
      })
      const say = (messages: readonly Message[]): void => {
        for (const { chat, text } of messages) server.chat(chat).user().say(text)
      }

      const all: Message[] = []
      for (let kill = 0; kill < KILLS; kill++) {
        const messages = messagesOf(kill)
        const half = CHATS * Math.ceil(MESSAGES / 2)
        const before = answered.size
        const stops = chatsFrom(kill + SLOW, SLEEPY).map((chat) => pool.stop(String(chat)))
        say(messages.slice(0, half))
        await held.count((kill + 1) * SLOW)
        const busy = randomInt(half / 2)
        await server.until(() => answered.size >= before + busy, { timeout: 60_000 })

        const seen = engineEvents.all.length
        const next = (state: 'up' | 'down') =>
          engineEvents.first((event) => event.state === state && engineEvents.all.indexOf(event) >= seen)
        handlings.engineGoes()
        await engine.kill()
        await next('down')
        say(messages.slice(half))
        await engine.start({ liveRestore })
        await next('up')
        handlings.engineIsBack()
        await Promise.all(stops)
        gates[kill]?.open()
        all.push(...messages)
      }
      await server.until(() => answered.size === all.length, { timeout: 60_000 })

      const again: string[] = []
      for (let chat = 1; chat <= CHATS; chat++) {
        const wanted = all.filter((message) => message.chat === chat).map(({ text }) => text)
        expect(server.chat(chat).answers.map(({ text }) => text)).toEqual(wanted.map(answerTo))
        const notes = await readFile(join(dataDir, slugOf(String(chat)), 'workspace', 'asked'), 'utf8')
        const asked = notes.trimEnd().split('\n')
        expect(asked.filter((text, index) => text !== asked[index - 1])).toEqual(wanted)
        again.push(...asked.filter((text, index) => text === asked[index - 1]))
      }
      if (liveRestore) expect(again).toEqual([])
      else {
        expect(again.filter((text) => !handlings.cutInto.has(text))).toEqual([])
        expect(again).toEqual(expect.arrayContaining(held.all))
      }
    },
    240_000,
  )
})
