import { InlineKeyboard } from 'grammy'
import { expect, test } from 'vitest'
import { botOf, startServer } from './support/server.js'

test('gives what was found, now or later', async () => {
  const server = await startServer()
  const chat = server.chat(7)
  const later = chat.until(({ messages }) => messages.find(({ text }) => text === 'two')?.id)
  await botOf(server).api.sendMessage(7, 'one')
  await botOf(server).api.sendMessage(7, 'two')
  expect(await later).toBe(2)
  expect(await chat.until(({ messages }) => messages.length)).toBe(2)
})

test('gives up with a signal or in time, and says what there was instead', async () => {
  const server = await startServer()
  const chat = server.chat(7)
  await botOf(server).api.sendMessage(7, 'one')
  await expect(chat.answer('two', { timeout: 1 })).rejects.toThrow(
    `The answer two did not happen within 1 ms. Chat 7 has as its last messages "one". The bot's last calls: sendMessage.`,
  )
  const reason = new Error('enough')
  await expect(chat.answer('two', { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
})

test('a press on a button is seen at once', async () => {
  const server = await startServer()
  const keyboard = new InlineKeyboard().text('ok')
  server.chat(7)
  await botOf(server).api.sendMessage(7, 'one', { reply_markup: keyboard })
  const update = server.until(({ pendingUpdates }) => pendingUpdates[0])
  server.chat(7).user().press('ok')
  expect((await update).callback_query?.data).toBe('ok')
})

test('what the look throws is thrown', async () => {
  const server = await startServer()
  const looking = server.until(() => {
    throw new Error('bad look')
  })
  await expect(looking).rejects.toThrow('bad look')
})

test('an answer is one that came after what was said last', async () => {
  const server = await startServer()
  const { api } = botOf(server)
  const chat = server.chat(7)
  await api.sendMessage(7, 'hello')
  chat.user().say('hi')
  const answer = chat.answer(/^hel/)
  await api.sendMessage(7, 'hello')
  expect((await answer).id).toBe(3)
})

test('tells subscribers what happens', async () => {
  const server = await startServer()
  const { api } = botOf(server)
  const seen: string[] = []
  const stop = server.subscribe((event) => seen.push(event.type))
  server.chat(7).user().say('hi')
  expect(seen).toEqual(['message', 'updates'])
  const { message_id: id } = await api.sendMessage(7, 'a')
  await api.editMessageText(7, id, 'b')
  await api.deleteMessage(7, id)
  await api.sendChatAction(7, 'typing')
  stop()
  await api.sendMessage(7, 'c')
  expect(seen.slice(2).filter((type) => type !== 'call')).toEqual(['message', 'edit', 'delete', 'action'])
})

test('the log has every call with its outcome', async () => {
  const server = await startServer()
  const { api } = botOf(server)
  server.chat(7)
  await api.sendMessage(7, 'a')
  await api.sendMessage(8, 'a').catch(() => undefined)
  expect(server.calls).toMatchObject([
    { method: 'sendMessage', chat: 7, params: { text: 'a' }, outcome: { ok: true } },
    {
      method: 'sendMessage',
      chat: 8,
      outcome: { ok: false, code: 400, description: 'Bad Request: chat not found' },
    },
  ])
})
