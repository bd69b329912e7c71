import type { AgentEvent } from '@tenantbox/core'
import { expect, test } from 'vitest'
import { gate, running } from './support/setup.js'

const done: AgentEvent = { type: 'done' }
const text = (said: string): AgentEvent => ({ type: 'text', text: said })

test('an answer is shown while it grows, by edits of one message', async () => {
  const more = gate()
  const { server } = await running({
    async *answers() {
      yield text('Once upon ')
      await more.passed
      yield text('a time.')
      yield done
    },
  })
  const chat = server.chat(7)
  chat.user().say('a story')
  await chat.answer('Once upon')
  more.open()
  const { id, history } = await chat.answer('Once upon a time.')
  expect(history.map((message) => message.text)).toEqual(['Once upon'])
  expect(chat.answers.map((answer) => answer.id)).toEqual([id])
  expect(chat.actions.map(({ action }) => action)).toContain('typing')
})

test('Markdown is shown as formatting', async () => {
  const { server } = await running({ answers: () => [text('**yes**'), done] })
  server.chat(7).user().say('well?')
  const { entities } = await server.chat(7).answer('yes')
  expect(entities).toEqual([{ type: 'bold', offset: 0, length: 3 }])
})

test('what Telegram does not take as formatting comes as plain text', async () => {
  const { server } = await running({ answers: () => [text('**yes**'), done] })
  server.fail(
    { type: 'error', code: 400, description: "Bad Request: can't parse entities" },
    { method: 'sendMessage' },
  )
  server.chat(7).user().say('well?')
  expect((await server.chat(7).answer('yes')).entities).toEqual([])
})

test('a long answer becomes several messages', async () => {
  const paragraph = `${'word '.repeat(400).trim()}\n\n`
  const { server } = await running({
    *answers() {
      for (let i = 0; i < 5; i++) yield text(paragraph)
      yield done
    },
  })
  const chat = server.chat(7)
  chat.user().say('at length')
  await chat.until(({ answers }) => answers.length === 3)
  await server.until(
    () =>
      chat.answers
        .map((one) => one.text)
        .join('')
        .split('word').length === 2001,
  )
})

test('an answer without end is cut, and the agent told to stop', async () => {
  const { server, cancelled, warnings } = await running({
    *answers() {
      for (let i = 0; i < 10 * 1024; i++) yield text('x'.repeat(1024))
      yield done
    },
  })
  const chat = server.chat(7)
  chat.user().say('everything')
  await chat.answer(/…$/)
  expect(chat.answers.map((one) => one.text).join('').length).toBe(40_001)
  await warnings.first(({ code }) => code === 'ANSWER_CUT')
  await cancelled.count(1)
})

test('an empty answer shows nothing, and the next message is answered', async () => {
  const { server } = await running({
    answers: ({ text: said }) => (said === 'hm' ? [done] : [text(said), done]),
  })
  const anna = server.chat(7).user()
  anna.say('hm')
  anna.say('hello')
  await server.chat(7).answer('hello')
  expect(server.chat(7).answers).toHaveLength(1)
})

test('without streaming nothing is shown before it is complete', async () => {
  const more = gate()
  const { server } = await running({
    telegram: { stream: false },
    async *answers() {
      yield text('one ')
      await more.passed
      yield text('two')
      yield done
    },
  })
  const chat = server.chat(7)
  chat.user().say('count')
  await chat.until(({ actions }) => actions.length > 0)
  more.open()
  expect((await chat.answer('one two')).history).toEqual([])
})

test('drafts in private chats, edits in groups', async () => {
  const more = gate()
  const { server } = await running({
    telegram: { stream: 'draft' },
    async *answers() {
      yield text('one ')
      await more.passed
      yield text('two')
      yield done
    },
  })
  const chat = server.chat(7)
  const group = server.chat(-5)
  chat.user().say('count')
  group.user({ id: 7 }).say('count')
  await chat.until(({ draft }) => draft === 'one')
  await group.answer('one')
  expect(chat.answers).toEqual([])
  more.open()
  await chat.answer('one two')
  await group.answer('one two')
})

test('render decides what is shown of which event', async () => {
  const { server } = await running({
    telegram: {
      render: (event) =>
        event.type === 'status' ? `_${event.text}_\n\n` : event.type === 'text' ? event.text : undefined,
    },
    answers: () => [{ type: 'status', text: 'thinking' }, text('done'), done],
  })
  server.chat(7).user().say('go')
  const { entities } = await server.chat(7).answer('thinking\n\ndone')
  expect(entities).toEqual([{ type: 'italic', offset: 0, length: 8 }])
})

test('cancel ends the answer; what it said stays, and the next message is handled', async () => {
  const { server, cancelled, asked } = await running({
    telegram: { lane: (ctx) => (ctx.msg?.text === '/stop' ? 'now' : 'queue') },
    handlers: (bot) => {
      bot.command('stop', async (ctx) => {
        await ctx.reply(ctx.tenant.cancel() ? 'stopped' : 'nothing to stop')
      })
      bot.on('message', (ctx) => ctx.tenant.answer())
    },
    async *answers({ text: said }, _process, signal) {
      yield text(said)
      if (said === 'for ever') await new Promise((resolve) => signal.addEventListener('abort', resolve))
      yield done
    },
  })
  const chat = server.chat(7)
  const anna = chat.user()
  anna.say('for ever')
  await chat.answer('for ever')
  anna.say('/stop')
  await chat.answer('stopped')
  anna.say('next')
  await chat.answer('next')
  await cancelled.count(1)
  expect(asked.all.map((message) => message.text)).toEqual(['for ever', 'next'])
  anna.say('/stop')
  await chat.answer('nothing to stop')
})

test('a new message interrupts an answer where the app wants that', async () => {
  const { server, asked } = await running({
    telegram: { whileAnswering: 'interrupt' },
    async *answers({ text: said }, _process, signal) {
      yield text(said)
      if (said === 'for ever') await new Promise((resolve) => signal.addEventListener('abort', resolve))
      yield done
    },
  })
  const chat = server.chat(7)
  const anna = chat.user()
  anna.say('for ever')
  await chat.answer('for ever')
  anna.say('no, this')
  await chat.answer('no, this')
  expect(asked.all.map(({ text: said, attempt }) => `${said} ${attempt}`)).toEqual([
    'for ever 1',
    'no, this 1',
  ])
})
