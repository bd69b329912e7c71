import { BotApiServer } from '@tenantbox/telegram/testing'
import { Bot, InputFile } from 'grammy'
import { expect, test } from 'vitest'

test('a bot that polls answers', async () => {
  const server = await BotApiServer.start()
  const bot = new Bot(server.token, { client: { apiRoot: server.url } })
  bot.command('start', (ctx) => ctx.reply('welcome *x*', { parse_mode: 'MarkdownV2' }))
  bot.on('message:text', (ctx) => ctx.reply(`echo ${ctx.msg.text}`))
  bot.on('message:document', async (ctx) => {
    await ctx.getFile()
    await ctx.replyWithDocument(new InputFile(Buffer.from('hello'), 'hä.txt'), { caption: 'there' })
  })
  const running = bot.start()
  const chat = server.chat(7)
  const anna = chat.user({ first_name: 'Anna' })
  anna.say('/start')
  await chat.answer('welcome x')
  anna.say('hi')
  await chat.answer('echo hi')
  anna.sendDocument({ name: 'x.txt', type: 'text/plain', bytes: Buffer.from('abc') })
  const doc = await chat.answer('there')
  expect(doc.message.document?.file_name).toBe('hä.txt')
  await bot.stop()
  await running
  await server.close()
})
