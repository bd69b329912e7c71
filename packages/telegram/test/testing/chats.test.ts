import { InlineKeyboard } from 'grammy'
import { describe, expect, test } from 'vitest'
import { botOf, refusal, run, startServer } from './support/server.js'

describe('a chat that cannot be reached', () => {
  test('was never heard of', async () => {
    const { api } = botOf(await startServer())
    expect(await refusal(api.sendMessage(8, 'x'))).toMatchObject({
      error_code: 400,
      description: 'Bad Request: chat not found',
    })
  })

  test('has blocked the bot, which is told so, until it unblocks it', async () => {
    const server = await startServer()
    const { api } = botOf(server)
    const anna = server.chat(7).user()
    anna.block()
    expect(await refusal(api.sendMessage(7, 'x'))).toMatchObject({
      error_code: 403,
      description: 'Forbidden: bot was blocked by the user',
    })
    anna.unblock()
    await api.sendMessage(7, 'x')
    const updates = await api.getUpdates()
    expect(updates.map(({ my_chat_member: change }) => change?.new_chat_member.status)).toEqual([
      'kicked',
      'member',
    ])
  })

  test('is deleted, deactivated or has thrown the bot out', async () => {
    const server = await startServer()
    const { api } = botOf(server)
    server.chat(7).delete()
    server.chat(8).user().deactivate()
    server.chat(-9).user().kickBot()
    const said = async (id: number) => (await refusal(api.sendMessage(id, 'x'))).description
    expect(await said(7)).toBe('Bad Request: chat not found')
    expect(await said(8)).toBe('Forbidden: user is deactivated')
    expect(await said(-9)).toBe('Forbidden: bot was kicked from the group chat')
  })

  test('was migrated, and says where to', async () => {
    const server = await startServer()
    const { api } = botOf(server)
    server.chat(-9).user({ id: 3 }).say('hi')
    const next = server.chat(-9).migrate()
    const error = await refusal(api.sendMessage(-9, 'x'))
    expect(error.description).toBe('Bad Request: group chat was upgraded to a supergroup chat')
    expect(error.parameters.migrate_to_chat_id).toBe(next.id)
    expect(next.id).toBe(-1000000000009)
    await api.sendMessage(next.id, 'x')
    expect(server.chat(next.id).answers.map(({ text }) => text)).toEqual(['x'])
    const [, old, fresh] = await api.getUpdates()
    expect(old?.message).toMatchObject({ chat: { id: -9 }, migrate_to_chat_id: next.id })
    expect(fresh?.message).toMatchObject({ chat: { id: next.id }, migrate_from_chat_id: -9 })
  })
})

test('people talk, edit and delete in groups', async () => {
  const server = await startServer()
  const { api } = botOf(server)
  const group = server.chat(-9, { title: 'Friends' })
  const anna = group.user({ id: 1, first_name: 'Anna' })
  const { message } = anna.say('hi')
  group.user({ id: 2, first_name: 'Ben' }).say('yo', { replyTo: message.id })
  anna.edit(message.id, 'hello')
  anna.delete(message.id)
  const updates = await api.getUpdates()
  expect(updates).toMatchObject([
    { message: { text: 'hi', from: { id: 1, first_name: 'Anna' }, chat: { id: -9, title: 'Friends' } } },
    { message: { text: 'yo', from: { id: 2 }, reply_to_message: { text: 'hi' } } },
    { edited_message: { text: 'hello', message_id: message.id } },
  ])
  expect(group.messages.map(({ text }) => text)).toEqual(['yo'])
})

test('topics of a forum: messages carry theirs, and unknown ones are refused', async () => {
  const server = await startServer()
  const { api } = botOf(server)
  const forum = server.chat(-1001234567890, { forum: true })
  const topic = forum.topic()
  forum.user({ id: 1 }).say('hi', { thread: topic })
  const [update] = await api.getUpdates()
  expect(update?.message).toMatchObject({ message_thread_id: topic, is_topic_message: true })
  const sent = await api.sendMessage(forum.id, 'hello', { message_thread_id: topic })
  expect(sent.message_thread_id).toBe(topic)
  const error = await refusal(api.sendMessage(forum.id, 'hello', { message_thread_id: 99 }))
  expect(error.description).toBe('Bad Request: message thread not found')
})

test('buttons: a press reaches the bot, whose answer is there, once', async () => {
  const server = await startServer()
  const bot = botOf(server)
  const chat = server.chat(7)
  bot.callbackQuery('yes', async (ctx) => {
    await ctx.answerCallbackQuery({ text: 'done', show_alert: true })
    await ctx.editMessageText('gone')
  })
  run(bot)
  await bot.api.sendMessage(7, 'sure?', { reply_markup: new InlineKeyboard().text('Yes', 'yes') })
  const pressed = chat.user().press('Yes')
  await chat.until(({ messages }) => messages[0]?.text === 'gone')
  expect(pressed.answer).toEqual({ text: 'done', alert: true })
  expect(() => chat.user().press('Yes')).toThrow('There is no button "Yes"')
  const error = await refusal(bot.api.answerCallbackQuery(pressed.id))
  expect(error.description).toMatch(/^Bad Request: query is too old/)
})

test('a command in a message is marked as one', async () => {
  const server = await startServer()
  const bot = botOf(server)
  bot.command('start', (ctx) => ctx.reply(`for ${ctx.from?.first_name}: ${ctx.match}`))
  run(bot)
  const chat = server.chat(7)
  chat.user({ first_name: 'Anna' }).say('/start abc')
  await chat.answer('for Anna: abc')
})
