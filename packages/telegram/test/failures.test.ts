import { readdir } from 'node:fs/promises'
import { type AgentEvent, isTenantBoxError } from '@tenantbox/core'
import { expect, test } from 'vitest'
import { isTelegramError } from '../src/index.js'
import { leapingClock } from './support/clock.js'
import { gate, running } from './support/setup.js'
import { watched } from './support/token-watch.js'

const done: AgentEvent = { type: 'done' }
const text = (said: string): AgentEvent => ({ type: 'text', text: said })

test('a user who has blocked the bot is written to no more, and answered again after unblocking', async () => {
  const { server, warnings, asked } = await running()
  const chat = server.chat(7)
  const anna = chat.user()
  anna.say('hello')
  await chat.answer('hello')
  server.holdUpdates()
  anna.say('lost')
  anna.block()
  server.releaseUpdates()
  await warnings.first(({ code }) => code === 'CHAT_GONE')
  anna.unblock()
  anna.say('back')
  await chat.answer('back')
  expect(asked.all.filter(({ text: said }) => said === 'lost')).toHaveLength(1)
})

test('a deleted chat does not keep others waiting', async () => {
  const { server, warnings } = await running()
  server.chat(7).user().say('hello')
  server.chat(7).delete()
  server.chat(8).user().say('hi')
  await server.chat(8).answer('hi')
  await warnings.first(({ code, tenant }) => code === 'CHAT_GONE' && tenant === '7')
})

test('a group that becomes a supergroup stays the tenant it was, also in the middle of an answer', async () => {
  const more = gate()
  const { server, asked, tg } = await running({
    async *answers({ text: said }) {
      yield text(said)
      if (said === 'first') await more.passed
      yield text('!')
      yield done
    },
  })
  const group = server.chat(-55)
  group.user({ id: 7 }).say('first')
  await group.answer('first')
  const supergroup = group.migrate()
  more.open()
  await supergroup.answer('first!')
  supergroup.user({ id: 7 }).say('second')
  await supergroup.answer('second!')
  await tg.send('-55', { text: 'from the app' })
  await supergroup.answer('from the app')
  expect(new Set(asked.all.map(({ tenant }) => tenant))).toEqual(new Set(['-55']))
})

test('a message that cannot be edited any more is sent anew', async () => {
  const more = gate()
  const { server } = await running({
    async *answers() {
      yield text('half ')
      await more.passed
      yield text('whole')
      yield done
    },
  })
  const chat = server.chat(7)
  chat.user().say('go')
  await chat.answer('half')
  server.fail(
    { type: 'error', code: 400, description: "Bad Request: message can't be edited" },
    { method: 'editMessageText' },
  )
  more.open()
  await chat.answer('half whole')
  expect(chat.answers.map((answer) => answer.text)).toEqual(['half', 'half whole'])
})

test('a topic is answered in, and without it once it is deleted', async () => {
  const { server, asked } = await running()
  const forum = server.chat(-1001234567890, { forum: true })
  const thread = forum.topic()
  forum.user({ id: 7 }).say('in the topic', { thread })
  const answer = await forum.answer('in the topic')
  expect(answer.message.message_thread_id).toBe(thread)
  expect(asked.all[0]?.thread).toBe(String(thread))
  server.fail(
    { type: 'error', code: 400, description: 'Bad Request: message thread not found' },
    { method: 'sendMessage' },
  )
  forum.user({ id: 7 }).say('again', { thread })
  expect((await forum.answer('again')).message.message_thread_id).toBeUndefined()
})

test('an agent that dies in the middle is asked again, and the half answer is written over', async () => {
  const shown = gate()
  const { server, asked } = await running({
    async *answers({ attempt }) {
      yield text('the beginning')
      if (attempt === 1) {
        await shown.passed
        throw new Error('it died')
      }
      yield text(', and the end')
      yield done
    },
  })
  const chat = server.chat(7)
  chat.user().say('go')
  await chat.answer('the beginning')
  shown.open()
  await chat.answer('the beginning, and the end')
  expect(chat.answers).toHaveLength(1)
  expect(asked.all.map(({ id, attempt }) => `${id} ${attempt}`)).toEqual([
    `${asked.all[0]?.id} 1`,
    `${asked.all[0]?.id} 2`,
  ])
})

test('an error that an agent reports is told at once, and not tried again', async () => {
  const errors: unknown[] = []
  const { server, asked } = await running({
    telegram: {
      onFailure: (error, ctx) => {
        errors.push(watched('failure', error))
        return `sorry, ${ctx.from?.first_name}`
      },
    },
    answers: ({ text: said }) =>
      said === 'bad' ? [text('so far'), { type: 'error', message: 'overloaded' }] : [text(said), done],
  })
  const chat = server.chat(7)
  const anna = chat.user({ first_name: 'Anna' })
  anna.say('bad')
  await chat.answer('so far')
  await chat.answer('sorry, Anna')
  anna.say('good')
  await chat.answer('good')
  expect(asked.all).toHaveLength(2)
  expect(isTelegramError(errors[0], 'AGENT_ERROR')).toBe(true)
})

test('an agent that hangs is given up and asked again, and delays nobody else', async () => {
  const clock = leapingClock()
  const { server, asked } = await running({
    pool: { clock },
    async *answers({ text: said, attempt }, _process, signal) {
      if (said !== 'hang' || attempt > 1) yield text(said)
      else await new Promise((resolve) => signal.addEventListener('abort', resolve))
      yield done
    },
  })
  const chat = server.chat(7)
  chat.user().say('hang')
  server.chat(8).user().say('others')
  await server.chat(8).answer('others')
  await asked.first(({ tenant }) => tenant === '7')
  // As long as an agent may be silent, whether before its answer's headers or after.
  clock.leap(10 * 60_000)
  await chat.answer('hang')
  expect(asked.all.filter(({ tenant }) => tenant === '7').map(({ attempt }) => attempt)).toEqual([1, 2])
})

test('a line of an answer that is too long ends it, and the user is told', async () => {
  const errors: unknown[] = []
  const { server } = await running({
    telegram: {
      onFailure: (error) => {
        errors.push(watched('failure', error))
        return 'sorry'
      },
    },
    answers: () => [text('x'.repeat(2 * 1024 * 1024)), done],
  })
  server.chat(7).user().say('go')
  await server.chat(7).answer('sorry')
  expect(isTenantBoxError(errors[0], 'TOO_LARGE')).toBe(true)
})

test("a chat that Telegram holds back does not delay another's", async () => {
  const { server } = await running()
  server.fail({ type: 'flood', retryAfter: 1 }, { chat: 7, method: 'sendMessage' })
  server.chat(7).user().say('slow')
  server.chat(8).user().say('fast')
  await server.chat(8).answer('fast')
  expect(server.chat(7).answers).toEqual([])
  await server.chat(7).answer('slow')
})

test('a text that Telegram refuses for good is dropped, and the next one is sent', async () => {
  const { server, asked } = await running()
  server.fail({ type: 'error', code: 400, description: 'Bad Request: whatever' }, { method: 'sendMessage' })
  const anna = server.chat(7).user()
  anna.say('one')
  anna.say('two')
  await server.chat(7).answer('two')
  expect(asked.all).toHaveLength(2)
})

test('a message whose last attempt fails is parked, its user told once, and the next one is handled', async () => {
  const errors: unknown[] = []
  let broken = true
  const { server, tg, dataDir, asked, warnings } = await running({
    telegram: {
      maxAttempts: 2,
      onFailure: (error) => {
        errors.push(watched('failure', error))
        return 'sorry'
      },
    },
    answers: ({ text: said }) => {
      if (said === 'bad' && broken) throw new Error('it died')
      return [text(said), done]
    },
  })
  const chat = server.chat(7)
  chat.user().say('bad')
  chat.user().say('good')
  await chat.answer('good')
  expect(asked.all.map(({ text: said, attempt }) => `${said} ${attempt}`)).toEqual([
    'bad 1',
    'bad 2',
    'good 1',
  ])
  expect(chat.answers.map((answer) => answer.text)).toEqual(['sorry', 'good'])
  expect(errors).toHaveLength(1)
  const files = await readdir(dataDir, { recursive: true })
  expect(files.filter((path) => path.includes('/mailbox/failed/'))).toHaveLength(1)
  expect(warnings.all.map(({ code, tenant }) => `${code} ${tenant}`)).toEqual(['PARKED 7'])
  broken = false
  expect(await tg.retryFailed()).toBe(1)
  await chat.answer('bad')
})
