import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import type { Webhook } from '../src/index.js'
import { atEnd, setup } from './support/setup.js'

const secretToken = 'a-secret_1'
const header = 'x-telegram-bot-api-secret-token'
const update = (id: number, said: string) => ({
  update_id: id,
  message: {
    message_id: id,
    date: 1,
    chat: { id: 7, type: 'private', first_name: 'Anna' },
    from: { id: 7, is_bot: false, first_name: 'Anna' },
    text: said,
  },
})

async function listening(webhook: Webhook): Promise<string> {
  const server = createServer((request, response) => void webhook.node(request, response))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  atEnd(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
}

test('Telegram delivers to a webhook', async () => {
  const { server, process } = await setup()
  const { tg, bot } = await process()
  await bot.api.setWebhook(await listening(tg.webhook({ secretToken })), { secret_token: secretToken })
  server.chat(7).user().say('hello')
  await server.chat(7).answer('hello')
  await server.until(() => server.pendingUpdates.length === 0)
})

test('the start by long polling takes the webhook away', async () => {
  const { server, process } = await setup()
  const { tg, bot } = await process()
  await bot.api.setWebhook('http://127.0.0.1:9/', { secret_token: secretToken })
  await tg.start()
  server.chat(7).user().say('hello')
  await server.chat(7).answer('hello')
})

test('200 only once the update is durable, and only with the secret', async () => {
  const { server, process, asked } = await setup()
  server.chat(7)
  const { tg } = await process()
  const webhook = tg.webhook({ secretToken })
  const url = await listening(webhook)
  const body = JSON.stringify(update(1, 'hello'))
  const statuses = async (init: RequestInit): Promise<[number, number]> => {
    const [overNode, overFetch] = await Promise.all([
      fetch(url, init),
      webhook.fetch(new Request('http://bot.example/', init)),
    ])
    return [overNode.status, overFetch.status]
  }
  const headers = { [header]: secretToken }
  expect(await statuses({ method: 'GET', headers })).toEqual([405, 405])
  expect(await statuses({ method: 'POST', body })).toEqual([401, 401])
  expect(await statuses({ method: 'POST', body, headers: { [header]: `${secretToken}x` } })).toEqual([
    401, 401,
  ])
  expect(await statuses({ method: 'POST', body: 'no json', headers })).toEqual([400, 400])
  expect(await statuses({ method: 'POST', body: '{}', headers })).toEqual([400, 400])
  expect(await statuses({ method: 'POST', headers })).toEqual([400, 400])
  expect(asked.all).toEqual([])
  expect(await statuses({ method: 'POST', body, headers })).toEqual([200, 200])
  await server.chat(7).answer('hello')
  expect(asked.all).toHaveLength(1)
})

test('a part of an album that Telegram sends again after its album was answered is no new message', async () => {
  const { server, process, asked } = await setup()
  const chat = server.chat(7)
  const { tg } = await process()
  const webhook = tg.webhook({ secretToken })
  const deliver = async (delivered: unknown): Promise<number> => {
    const init = { method: 'POST', headers: { [header]: secretToken }, body: JSON.stringify(delivered) }
    return (await webhook.fetch(new Request('http://bot.example/', init))).status
  }
  const part = (id: number, caption: string) => {
    const { update_id, message } = update(id, '')
    return { update_id, message: { ...message, text: undefined, caption, media_group_id: '55' } }
  }
  expect(await deliver(part(1, 'one'))).toBe(200)
  expect(await deliver(part(2, 'two'))).toBe(200)
  await chat.answer('one\n\ntwo')
  expect(await deliver(part(2, 'two'))).toBe(200)
  expect(await deliver(update(3, 'three'))).toBe(200)
  await chat.answer('three')
  expect(asked.all.map(({ text }) => text)).toEqual(['one\n\ntwo', 'three'])
})

test('a body that is too long is not read', async () => {
  const { process } = await setup()
  const { tg } = await process()
  const webhook = tg.webhook({ secretToken })
  let sent = 0
  const endless = new ReadableStream<Uint8Array>({
    pull(controller) {
      sent += 64 * 1024
      controller.enqueue(new Uint8Array(64 * 1024))
    },
  })
  const init: RequestInit & { duplex: 'half' } = {
    method: 'POST',
    body: endless,
    headers: { [header]: secretToken },
    duplex: 'half',
  }
  expect((await webhook.fetch(new Request('http://bot.example/', init))).status).toBe(413)
  expect(sent).toBeLessThan(3 * 1024 * 1024)
})

test('what cannot be made durable is refused, for Telegram to send it again', async () => {
  const { process, warnings } = await setup()
  const { tg, pool } = await process()
  const webhook = tg.webhook({ secretToken })
  await pool.close()
  const request = new Request('http://bot.example/', {
    method: 'POST',
    body: JSON.stringify(update(1, 'hello')),
    headers: { [header]: secretToken },
  })
  expect((await webhook.fetch(request)).status).toBe(503)
  expect(warnings.all.map(({ code }) => code).filter((code) => code !== 'NOT_STORED')).toEqual([])
})

test('a secret that Telegram would not take is refused', async () => {
  const { process } = await setup()
  const { tg } = await process()
  expect(() => tg.webhook({ secretToken: '' })).toThrow(/secretToken/)
  expect(() => tg.webhook({ secretToken: 'with spaces' })).toThrow(/secretToken/)
})
