import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { testClock } from '@tenantbox/core/testing'
import type { BotApiServer } from '@tenantbox/telegram/testing'
import { webhookCallback } from 'grammy'
import { expect, onTestFinished, test } from 'vitest'
import { botOf, refusal, startServer } from './support/server.js'

/** An app at a port of its own; closed when the test ends. */
async function listen(app: RequestListener): Promise<string> {
  const server = createServer(app)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
}

/** An app that answers with these status codes, one after the other, and then with 200. */
async function recorder(codes: number[] = [], headers: Record<string, string> = {}) {
  const received: { id: number; secret: string | undefined }[] = []
  const url = await listen(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const { update_id: id } = JSON.parse(Buffer.concat(chunks).toString())
    received.push({ id, secret: request.headers['x-telegram-bot-api-secret-token']?.toString() })
    response.writeHead(codes.shift() ?? 200, headers).end()
  })
  return { url, received, ids: () => received.map(({ id }) => id) }
}

const failures = ({ deliveries }: BotApiServer) => deliveries.filter(({ ok }) => !ok).length

test('grammY answers by webhook, which comes with the secret', async () => {
  const server = await startServer()
  const bot = botOf(server)
  bot.on('message:text', (ctx) => ctx.reply(`echo ${ctx.msg.text}`))
  const url = await listen(webhookCallback(bot, 'http', { secretToken: 's3cret' }))
  server.chat(7).user().say('before')
  await bot.api.setWebhook(url, { secret_token: 's3cret' })
  await server.chat(7).until(({ answers }) => answers[0]?.text === 'echo before')
  server.chat(7).user().say('after')
  await server.chat(7).answer('echo after')
  expect(await bot.api.getWebhookInfo()).toMatchObject({ url, pending_update_count: 0 })
})

test('an app can answer with a method call', async () => {
  const server = await startServer()
  const bot = botOf(server)
  bot.on('message', (ctx) => ctx.reply('by the answer'))
  bot.api.config.use((next, method, payload, signal) => next(method, payload, signal))
  const url = await listen((_, response) => {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ method: 'sendMessage', chat_id: 7, text: 'by the answer' }))
  })
  await bot.api.setWebhook(url)
  server.chat(7).user().say('hi')
  await server.chat(7).answer('by the answer')
})

test('the wrong secret lets the app refuse, and the update stays', async () => {
  const server = await startServer({ clock: testClock() })
  const bot = botOf(server)
  const url = await listen(webhookCallback(bot, 'http', { secretToken: 's3cret' }))
  await bot.api.setWebhook(url, { secret_token: 'other' })
  server.chat(7).user().say('hi')
  await server.until((now) => failures(now) > 0)
  expect(await bot.api.getWebhookInfo()).toMatchObject({
    pending_update_count: 1,
    last_error_message: 'Wrong response from the webhook: 401 Unauthorized',
  })
})

test('an update is sent again until the app takes it: at once, then after 2 seconds, 4, 8', async () => {
  const clock = testClock()
  const server = await startServer({ clock })
  const app = await recorder([500, 500, 500, 500])
  await botOf(server).api.setWebhook(app.url)
  server.chat(7).user().say('hi')
  for (const [attempt, pause] of [0, 2000, 4000, 8000].entries()) {
    await server.until((now) => failures(now) === attempt + 1)
    if (pause > 0) {
      await clock.advance(pause - 1)
      expect(app.received).toHaveLength(attempt + 1)
    }
    await clock.advance(1)
  }
  await server.until(({ pendingUpdates }) => pendingUpdates.length === 0)
  expect(app.ids()).toEqual([1000, 1000, 1000, 1000, 1000])
})

test('Retry-After is kept to', async () => {
  const clock = testClock()
  const server = await startServer({ clock })
  const app = await recorder([503], { 'retry-after': '30' })
  await botOf(server).api.setWebhook(app.url)
  server.chat(7).user().say('hi')
  await server.until((now) => failures(now) === 1)
  await clock.advance(29_999)
  expect(app.received).toHaveLength(1)
  await clock.advance(1)
  await server.until(({ pendingUpdates }) => pendingUpdates.length === 0)
})

test('a chat’s updates keep their order while one fails, and other chats do not wait', async () => {
  const clock = testClock()
  const server = await startServer({ clock })
  const failing = { left: 2 }
  const received: string[] = []
  const url = await listen(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const { text } = JSON.parse(Buffer.concat(chunks).toString()).message
    const fails = text === 'a1' && failing.left-- > 0
    if (!fails) received.push(text)
    response.writeHead(fails ? 500 : 200).end()
  })
  await botOf(server).api.setWebhook(url)
  server.chat(7).user().say('a1')
  server.chat(7).user().say('a2')
  server.chat(8).user().say('b1')
  await server.until((now) => failures(now) === 1)
  await clock.advance(0)
  await server.until((now) => failures(now) === 2 && now.pendingUpdates.length === 2)
  expect(received).toEqual(['b1'])
  await clock.advance(2000)
  await server.until(({ pendingUpdates }) => pendingUpdates.length === 0)
  expect(received).toEqual(['b1', 'a1', 'a2'])
})

test('polling and a webhook exclude each other', async () => {
  const server = await startServer()
  const app = await recorder()
  const { api } = botOf(server)
  const poll = refusal(api.getUpdates({ timeout: 30 }))
  await server.until(({ polled }) => polled)
  await api.setWebhook(app.url)
  expect(await poll).toMatchObject({
    error_code: 409,
    description: 'Conflict: terminated by setWebhook request',
  })
  expect(await refusal(api.getUpdates())).toMatchObject({
    error_code: 409,
    description:
      "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first",
  })
  await api.deleteWebhook()
  expect(await api.getUpdates()).toEqual([])
})

test('waiting updates can be dropped', async () => {
  const server = await startServer()
  const { api } = botOf(server)
  server.chat(7).user().say('hi')
  await api.deleteWebhook({ drop_pending_updates: true })
  expect(await api.getUpdates()).toEqual([])
})

test('nothing but this machine is called', async () => {
  const { api } = botOf(await startServer())
  for (const url of ['https://127.0.0.1/', 'http://example.com/', 'ftp://127.0.0.1/', 'nonsense'])
    expect((await refusal(api.setWebhook(url))).description).toMatch(/^Bad Request: bad webhook: /)
  const { description } = await refusal(api.setWebhook('http://127.0.0.1:1/', { secret_token: 'a b' }))
  expect(description).toBe('Bad Request: secret token contains unallowed characters')
})
