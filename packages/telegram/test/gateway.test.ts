import type { AgentEvent } from '@tenantbox/core'
import { testClock } from '@tenantbox/core/testing'
import { Bot } from 'grammy'
import { expect, test } from 'vitest'
import { isTelegramError, telegram } from '../src/index.js'
import { Log } from './support/log.js'
import { atEnd, gate, running, setup, type TestContext } from './support/setup.js'
import { watched } from './support/token-watch.js'

const done: AgentEvent = { type: 'done' }
const text = (said: string): AgentEvent => ({ type: 'text', text: said })
const refused = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'nothing',
    (error: unknown) => watched('error', error),
  )

test('the bot cannot be started by itself', async () => {
  const { process } = await setup()
  const { bot } = await process()
  expect(isTelegramError(await refused(bot.start()), 'NOT_STARTED_HERE')).toBe(true)
})

test('a wrong token is refused at the start', async () => {
  const { server, dataDir } = await setup()
  const { TenantPool } = await import('@tenantbox/core')
  const { memoryDriver } = await import('@tenantbox/core/testing')
  const pool = new TenantPool({ name: 'test', driver: memoryDriver(), dataDir, box: { image: 'agent:1' } })
  const bot = new Bot<TestContext>('1:wrong', { client: { apiRoot: server.url } })
  const tg = telegram(bot, { pool })
  atEnd(async () => {
    await tg.close()
    await pool.close()
  })
  expect(isTelegramError(await refused(tg.start()), 'UNAUTHORIZED')).toBe(true)
})

test('an option that is not known, or not as it must be, is refused', async () => {
  const { process } = await setup()
  const { bot, pool } = await process()
  expect(() => telegram(bot, { pool, editEvry: 1 } as never)).toThrow(/editEvry/)
  expect(() => telegram(bot, { pool, gather: 'soon' as never })).toThrow(/gather/)
})

test('what came while nothing ran is answered after the start, in order', async () => {
  const { server, process, asked } = await setup()
  const anna = server.chat(7).user()
  anna.say('one')
  anna.say('two')
  const { tg } = await process()
  await tg.start()
  await server.chat(7).answer('two')
  expect(asked.all.map((message) => message.text)).toEqual(['one', 'two'])
})

test('a message that was being answered when the gateway closed is answered by the next, over the half answer', async () => {
  const shown = gate()
  let answers = 0
  const { server, process, asked } = await setup({
    async *answers(_message, _process, signal) {
      yield text('the beginning')
      if (++answers === 1) {
        await shown.passed
        yield text(', more')
        await new Promise((resolve) => signal.addEventListener('abort', resolve))
      }
      yield text(', all of it')
      yield done
    },
  })
  const first = await process()
  await first.tg.start()
  const chat = server.chat(7)
  chat.user().say('a story')
  await chat.answer('the beginning')
  shown.open()
  await chat.answer('the beginning, more')
  await first.pool.close({ drain: 0 })
  await first.tg.close()
  const second = await process()
  await second.tg.start()
  await chat.answer('the beginning, all of it')
  expect(chat.answers).toHaveLength(1)
  expect(new Set(asked.all.map(({ id }) => id)).size).toBe(1)
  expect(asked.all).toHaveLength(2)
})

test('an update that comes twice is handled once', async () => {
  const { server, asked } = await running()
  const { update } = server.chat(7).user().say('hello')
  await server.chat(7).answer('hello')
  if (update) server.repeatUpdate(update)
  server.chat(7).user().say('next')
  await server.chat(7).answer('next')
  expect(asked.all.map((message) => message.text)).toEqual(['hello', 'next'])
})

test('updates that come out of order are handled all', async () => {
  const { server, asked } = await running()
  server.holdUpdates()
  for (const said of ['a', 'b', 'c']) server.chat(7).user().say(said)
  server.releaseUpdates((updates) => [...updates].reverse())
  await asked.count(3)
  expect(asked.all.map((message) => message.text).sort()).toEqual(['a', 'b', 'c'])
})

test('another poller is said, waited for and overcome', async () => {
  const { server, warnings } = await running()
  server.fail(
    { type: 'error', code: 409, description: 'Conflict: terminated by other getUpdates request' },
    { method: 'getUpdates', times: 2 },
  )
  server.chat(7).user().say('hello')
  await server.chat(7).answer('hello')
  server.chat(7).user().say('again')
  await server.chat(7).answer('again')
  await warnings.first(({ code }) => code === 'POLLED_ELSEWHERE')
  expect(warnings.all.filter(({ code }) => code === 'POLLED_ELSEWHERE')).toHaveLength(1)
})

test('a Telegram that is away at the start and later is waited for, and said to be', async () => {
  const { server, process, warnings } = await setup()
  server.down()
  const { tg } = await process()
  const started = tg.start()
  await warnings.first(({ code }) => code === 'TELEGRAM_UNREACHABLE')
  server.up()
  await started
  server.chat(7).user().say('hello')
  await server.chat(7).answer('hello')
  server.down()
  server.chat(7).user().say('meanwhile')
  const before = warnings.all.length
  await warnings.count(before + 1)
  server.up()
  await server.chat(7).answer('meanwhile')
})

test('a start that takes too long can be given up, and repeated', async () => {
  const clock = testClock()
  const { server, process } = await setup({ telegram: { clock } })
  server.down()
  const { tg } = await process()
  const starting = refused(tg.start({ timeout: '1m' }))
  await clock.advance(60_000)
  expect(await starting).toMatchObject({ code: 'TIMEOUT' })
  server.up()
  await tg.start()
  server.chat(7).user().say('hello')
  await server.chat(7).answer('hello')
})

test('a handler that throws is called again; the attempts show', async () => {
  const attempts: number[] = []
  const { server } = await running({
    handlers: (bot) =>
      bot.on('message', async (ctx) => {
        attempts.push(ctx.tenant.attempt)
        if (ctx.tenant.attempt === 1) throw new Error('not now')
        await ctx.reply('now')
      }),
  })
  server.chat(7).user().say('hello')
  await server.chat(7).answer('now')
  expect(attempts).toEqual([1, 2])
})

test('a letter of the lane now is handled beside the queue, and once', async () => {
  const more = gate()
  const handled = new Log<string>()
  const { server } = await running({
    telegram: { lane: (ctx) => (ctx.msg?.text?.startsWith('/') ? 'now' : 'queue') },
    handlers: (bot) => {
      bot.command('ping', async (ctx) => {
        handled.add('ping')
        await ctx.reply('pong')
      })
      bot.on('message', async (ctx) => {
        handled.add(ctx.msg.text ?? '')
        await more.passed
        await ctx.reply('done')
      })
    },
  })
  const chat = server.chat(7)
  chat.user().say('slow')
  await handled.first((one) => one === 'slow')
  chat.user().say('/ping')
  await chat.answer('pong')
  more.open()
  chat.user().say('after')
  await chat.until(({ answers }) => answers.length === 3)
  expect(handled.all).toEqual(['slow', 'ping', 'after'])
})

test('one that fails in the lane now is handled in the queue', async () => {
  const attempts: number[] = []
  const { server } = await running({
    telegram: { lane: () => 'now' },
    handlers: (bot) =>
      bot.on('message', async (ctx) => {
        attempts.push(attempts.length)
        if (attempts.length === 1) throw new Error('not yet')
        await ctx.reply('done')
      }),
  })
  server.chat(7).user().say('go')
  await server.chat(7).answer('done')
  expect(attempts).toHaveLength(2)
})

test('updates of nobody are handled at once; their handlers have no tenant', async () => {
  const { server, warnings } = await running({
    telegram: { tenant: (ctx) => (ctx.from?.id === 9 ? undefined : `user-${ctx.from?.id}`) },
    handlers: (bot) => {
      bot.command('bare', (ctx) => ctx.reply('no tenant needed'))
      bot.on('message', (ctx) => ctx.tenant.answer())
    },
  })
  server.chat(9).user().say('/bare')
  await server.chat(9).answer('no tenant needed')
  server.chat(9).user().say('hello')
  const { cause } = await warnings.first(({ code }) => code === 'UPDATE_DROPPED')
  expect(isTelegramError(cause, 'NO_TENANT')).toBe(true)
  server.chat(7).user().say('hi')
  await server.chat(7).answer('hi')
})

test('a tenant of several chats is answered where each message came from', async () => {
  const { server, asked, tg } = await running({
    telegram: { tenant: (ctx) => ctx.from && `user-${ctx.from.id}` },
  })
  server.chat(7).user().say('in private')
  await server.chat(7).answer('in private')
  server.chat(-5).user({ id: 7 }).say('in the group')
  await server.chat(-5).answer('in the group')
  expect(asked.all.map(({ tenant, thread }) => `${tenant} ${thread}`)).toEqual(['user-7 7', 'user-7 -5'])
  await tg.send('user-7', { text: 'where you were last' })
  await server.chat(-5).answer('where you were last')
})

test('an edited message is another message that names the first', async () => {
  const { server, asked } = await running()
  const anna = server.chat(7).user()
  const { message } = anna.say('helo')
  await server.chat(7).answer('helo')
  anna.edit(message.id, 'hello')
  await server.chat(7).answer('hello')
  expect(asked.all[1]?.data).toEqual({ replaces: asked.all[0]?.id })
})

test('forget deletes what there is of a tenant', async () => {
  const { server, pool } = await running({
    handlers: (bot) => {
      bot.command('forget', async (ctx) => {
        await ctx.tenant.forget()
        await ctx.reply('forgotten')
      })
      bot.on('message', async (ctx) => {
        await ctx.tenant.answer()
        await (await ctx.tenant.workspace()).memory.write('known')
      })
    },
  })
  const chat = server.chat(7)
  chat.user().say('hello')
  await chat.answer('hello')
  chat.user().say('/forget')
  await chat.answer('forgotten')
  expect(pool.get('7')).toBeUndefined()
  chat.user().say('again')
  await chat.answer('again')
})

test('the app says something; to nobody it cannot', async () => {
  const { server, tg } = await running()
  expect(isTelegramError(await refused(tg.send('7', { text: 'too early' })), 'NO_CHAT')).toBe(true)
  server.chat(7).user().say('hello')
  await server.chat(7).answer('hello')
  await tg.send('7', { id: 'n1', text: '**news**' })
  await tg.send('7', { id: 'n1', text: '**news**' })
  await tg.send('7', { id: 'n2', text: 'more' })
  await server.chat(7).answer('more')
  expect(server.chat(7).answers.map((answer) => answer.text)).toEqual(['hello', 'news', 'more'])
})
