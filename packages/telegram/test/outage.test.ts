import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type AgentEvent, TenantBoxError } from '@tenantbox/core'
import { type TestClock, testClock } from '@tenantbox/core/testing'
import type { BotApiServer, Fault } from '@tenantbox/telegram/testing'
import { expect, test } from 'vitest'
import { passTimeUntil } from '../../core/test/pass-time.js'
import { running, setup } from './support/setup.js'

const HOUR = 60 * 60_000
const done: AgentEvent = { type: 'done' }
const text = (said: string): AgentEvent => ({ type: 'text', text: said })

/** From now on a fault meets every call of a method. */
function away(server: BotApiServer, clock: TestClock, method: string, fault: Fault = { type: 'drop' }) {
  let tried = 0
  server.subscribe((event) => {
    if (event.type === 'fault' && event.fault === fault) tried++
  })
  const back = server.fail(fault, { method, times: Number.POSITIVE_INFINITY })
  const triedAgain = async (stepMs?: number): Promise<void> => {
    const before = tried
    await passTimeUntil(
      server.until(() => tried > before),
      clock,
      stepMs,
    )
  }
  return {
    back,
    triedAgain,
    /** What takes real time is slow where time flies: both must have gone on. */
    async forAnHour(): Promise<void> {
      await triedAgain()
      const until = clock.monotonic() + HOUR
      for (let times = 0; times < 12 || clock.monotonic() < until; times++) await triedAgain(2_000)
    },
  }
}

const filesIn = async (dataDir: string, folder: string): Promise<string[]> =>
  (await readdir(dataDir, { recursive: true })).filter((path) => path.includes(`/mailbox/${folder}/`))

test.each<[string, Fault]>([
  ['is away', { type: 'drop' }],
  ['answers with a page of its proxy', { type: 'bad-gateway' }],
  ['answers 500', { type: 'error', code: 500 }],
  ['does not take the token for a while', { type: 'error', code: 401, description: 'Unauthorized' }],
  ['wants two minutes of silence each time', { type: 'flood', retryAfter: 120 }],
])('while Telegram %s, for an hour, nothing is lost, and the agent asked once', async (_what, fault) => {
  const clock = testClock()
  const { server, asked, dataDir, warnings } = await running({
    pool: { clock },
    telegram: { clock, maxAttempts: 2, onFailure: () => 'sorry' },
  })
  const telegram = away(server, clock, 'sendMessage', fault)
  const chat = server.chat(7)
  chat.user().say('one')
  chat.user().say('two')
  await telegram.forAnHour()
  expect(await filesIn(dataDir, 'new')).toHaveLength(2)
  telegram.back()
  await passTimeUntil(chat.answer('one'), clock, 2_000)
  await passTimeUntil(chat.answer('two'), clock)
  expect(chat.answers.map((answer) => answer.text)).toEqual(['one', 'two'])
  expect(asked.all.map(({ text: said, attempt }) => `${said} ${attempt}`)).toEqual(['one 1', 'two 1'])
  expect(warnings.all.filter(({ tenant }) => tenant === '7').map(({ code }) => code)).toEqual([
    'TELEGRAM_UNREACHABLE',
  ])
})

test('an answer that could not be shown is shown by the next process, without asking again', async () => {
  const clock = testClock()
  const { server, process, asked } = await setup({ pool: { clock }, telegram: { clock } })
  const first = await process()
  await first.tg.start()
  const flood = away(server, clock, 'sendMessage', { type: 'flood', retryAfter: 61 })
  const chat = server.chat(7)
  chat.user().say('hello')
  await flood.triedAgain()
  await first.close()
  flood.back()
  const second = await process()
  await second.tg.start()
  chat.user().say('next')
  await chat.answer('next')
  expect(chat.answers.map((answer) => answer.text)).toEqual(['hello', 'next'])
  expect(asked.all.map(({ text: said }) => said)).toEqual(['hello', 'next'])
})

test('what the agent said before, between and after files comes once, though Telegram goes in the middle', async () => {
  const clock = testClock()
  const { server, asked, pool } = await running({
    pool: { clock },
    telegram: { clock },
    async *answers(_message, { env }) {
      await writeFile(join(env.HOME ?? '', 'a.txt'), 'a')
      await writeFile(join(env.HOME ?? '', 'b.txt'), 'b')
      yield text('first')
      yield { type: 'file', file: { path: 'a.txt' } }
      yield text('second')
      yield { type: 'file', file: { path: 'b.txt' } }
      yield text('third')
      yield done
    },
  })
  const leases: string[] = []
  pool.on('lease', ({ outcome }) => leases.push(outcome))
  const telegram = away(server, clock, 'sendDocument')
  const chat = server.chat(7)
  chat.user().say('go')
  await telegram.forAnHour()
  // The agent was heard out: nobody held its box for a Telegram that is away.
  expect(leases).toEqual(['released'])
  telegram.back()
  await passTimeUntil(chat.answer('third'), clock, 2_000)
  const shown = chat.answers.map((answer) => answer.message.document?.file_name ?? answer.text)
  expect(shown).toEqual(['first', 'a.txt', 'second', 'b.txt', 'third'])
  expect(asked.all).toHaveLength(1)
})

test("a handler's own calls and downloads that Telegram is to blame for do not count; other failures do", async () => {
  const clock = testClock()
  const attempts: string[] = []
  const { server, asked, dataDir } = await running({
    pool: { clock },
    telegram: { clock, maxAttempts: 2, onFailure: () => undefined },
    handlers: (bot) => {
      bot.command('broken', () => {
        attempts.push('broken')
        throw new Error('a mistake')
      })
      bot.command('model', async (ctx) => {
        attempts.push('model')
        if (attempts.filter((one) => one === 'model').length > 5) return void (await ctx.reply('answered'))
        throw new TenantBoxError('SERVICE_UNAVAILABLE', 'away', { service: 'the model' })
      })
      bot.on('message:text', async (ctx) => {
        attempts.push(`text ${ctx.tenant.attempt}`)
        await ctx.tenant.answer()
        await ctx.react('👍')
      })
      bot.on('message', (ctx) => ctx.tenant.answer())
    },
  })
  const chat = server.chat(7)
  const telegram = away(server, clock, 'setMessageReaction', { type: 'error', code: 502 })
  chat.user().say('hello')
  for (let times = 0; times < 5; times++) await telegram.triedAgain()
  telegram.back()
  const getFile = away(server, clock, 'getFile')
  chat.user().sendDocument({ name: 'a', bytes: Buffer.from('a'), type: 'text/plain' }, { caption: 'a file' })
  for (let times = 0; times < 5; times++) await getFile.triedAgain()
  getFile.back()
  chat.user().say('/model')
  await passTimeUntil(chat.answer('answered'), clock)
  chat.user().say('/broken')
  chat.user().say('last')
  await passTimeUntil(chat.answer('last'), clock)
  expect(new Set(attempts)).toEqual(new Set(['text 1', 'model', 'broken']))
  expect(attempts.filter((one) => one === 'broken')).toHaveLength(2)
  expect(asked.all.map(({ text: said }) => said)).toEqual(['hello', 'a file', 'last'])
  expect(await filesIn(dataDir, 'failed')).toHaveLength(1)
})

test('an apology waits, too', async () => {
  const clock = testClock()
  const { server, asked } = await running({
    pool: { clock },
    telegram: { clock, onFailure: () => 'sorry' },
    answers: () => [{ type: 'error', message: 'overloaded' }],
  })
  const telegram = away(server, clock, 'sendMessage')
  const chat = server.chat(7)
  chat.user().say('hello')
  // Its error is not kept: it may have another answer by then.
  while (asked.all.length < 3) await telegram.triedAgain()
  telegram.back()
  await passTimeUntil(chat.answer('sorry'), clock)
  expect(chat.answers).toHaveLength(1)
})

test('an outage is told of, also after one in which a chat has gone', async () => {
  const clock = testClock()
  const { server, warnings } = await running({ pool: { clock }, telegram: { clock } })
  const warned = (code: string, tenant: string) =>
    passTimeUntil(
      warnings.first((warning) => warning.code === code && warning.tenant === tenant),
      clock,
    )
  const first = away(server, clock, 'sendMessage')
  const anna = server.chat(7).user()
  anna.say('hello')
  await warned('TELEGRAM_UNREACHABLE', '7')
  anna.block()
  first.back()
  await warned('CHAT_GONE', '7')
  away(server, clock, 'sendMessage')
  server.chat(8).user().say('hello')
  await warned('TELEGRAM_UNREACHABLE', '8')
})
