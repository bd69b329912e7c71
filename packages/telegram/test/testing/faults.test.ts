import { testClock } from '@tenantbox/core/testing'
import { HttpError } from 'grammy'
import { expect, test } from 'vitest'
import { botOf, refusal, run, startServer } from './support/server.js'

const setUp = async () => {
  const server = await startServer()
  return { server, chat: server.chat(7), api: botOf(server).api }
}

test('errors on demand: for a method, a chat, a number of times', async () => {
  const { api, chat, server } = await setUp()
  server.chat(8)
  server.fail({ type: 'error', code: 500 }, { method: 'sendMessage', chat: 7, times: 2 })
  await api.getMe()
  await api.sendMessage(8, 'x')
  expect((await refusal(api.sendMessage(7, 'a'))).error_code).toBe(500)
  expect((await refusal(api.sendMessage(7, 'a'))).error_code).toBe(500)
  await api.sendMessage(7, 'a')
  expect(chat.messages).toHaveLength(1)
})

test('a fault that is not over can be taken back', async () => {
  const { api, server } = await setUp()
  const stop = server.fail({ type: 'error', code: 500 }, { times: Number.POSITIVE_INFINITY })
  await refusal(api.getMe())
  await refusal(api.getMe())
  stop()
  await api.getMe()
})

test('429 says how long to wait', async () => {
  const { api, server } = await setUp()
  server.fail({ type: 'flood', retryAfter: 5 })
  expect(await refusal(api.sendMessage(7, 'a'))).toMatchObject({
    error_code: 429,
    description: 'Too Many Requests: retry after 5',
    parameters: { retry_after: 5 },
  })
})

test('an answer can be lost: all was done, and the bot does not know', async () => {
  const { api, chat, server } = await setUp()
  server.fail({ type: 'lose-answer' }, { method: 'sendMessage' })
  await expect(api.sendMessage(7, 'a')).rejects.toThrow(HttpError)
  expect(chat.messages.map(({ text }) => text)).toEqual(['a'])
})

test('a connection can break before anything is done, or a proxy can answer', async () => {
  const { api, chat, server } = await setUp()
  server.fail({ type: 'drop' })
  await expect(api.sendMessage(7, 'a')).rejects.toThrow(HttpError)
  server.fail({ type: 'bad-gateway' })
  await expect(api.sendMessage(7, 'a')).rejects.toThrow(HttpError)
  expect(chat.messages).toEqual([])
})

test('a call can be slow', async () => {
  const clock = testClock()
  const server = await startServer({ clock })
  const chat = server.chat(7)
  server.fail({ type: 'delay', ms: 5000 })
  const sending = botOf(server).api.sendMessage(7, 'a')
  await server.until(({ plannedFaults }) => plannedFaults === 0)
  await clock.advance(4999)
  expect(chat.messages).toEqual([])
  await clock.advance(1)
  await sending
})

test('a call that hangs ends with the server', async () => {
  const { api, server } = await setUp()
  server.fail({ type: 'hang' })
  const hanging = expect(api.getMe()).rejects.toThrow(HttpError)
  await server.until(({ plannedFaults }) => plannedFaults === 0)
  await server.close()
  await hanging
})

test('the server can be out of reach; nothing is lost meanwhile', async () => {
  const { api, chat, server } = await setUp()
  server.down()
  await expect(api.getMe()).rejects.toThrow(HttpError)
  chat.user().say('hello?')
  server.up()
  expect(await api.getUpdates()).toHaveLength(1)
})

test('a long poll breaks when the server goes, and grammY comes back by itself', async () => {
  const server = await startServer()
  const bot = botOf(server)
  bot.on('message', (ctx) => ctx.reply('ok'))
  run(bot)
  await server.until(({ polled }) => polled)
  server.down()
  server.chat(7).user().say('hi')
  server.up()
  await server.chat(7).answer('ok')
})
