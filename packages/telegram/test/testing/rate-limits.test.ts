import { testClock } from '@tenantbox/core/testing'
import { type RateLimits, TELEGRAM_LIMITS } from '@tenantbox/telegram/testing'
import { expect, test } from 'vitest'
import { botOf, refusal, startServer } from './support/server.js'

const setUp = async (limits: RateLimits = TELEGRAM_LIMITS) => {
  const clock = testClock()
  const server = await startServer({ clock, limits })
  const { api } = botOf(server)
  const send = async (id: number, count: number) => {
    for (let sent = 0; sent < count; sent++) await api.sendMessage(id, `${sent}`)
  }
  server.chat(7)
  server.chat(8)
  server.chat(-9)
  return { api, clock, send }
}

test('a chat takes a burst, then a message a second', async () => {
  const { api, clock, send } = await setUp()
  await send(7, 5)
  expect((await refusal(api.sendMessage(7, 'x'))).parameters).toEqual({ retry_after: 1 })
  await send(8, 1)
  await clock.advance(999)
  await refusal(api.sendMessage(7, 'x'))
  await clock.advance(1)
  await send(7, 1)
  await refusal(api.sendMessage(7, 'x'))
})

test('edits count too', async () => {
  const { api } = await setUp()
  const { message_id: id } = await api.sendMessage(7, 'x')
  for (let edit = 0; edit < 4; edit++) await api.editMessageText(7, id, `${edit}`)
  expect((await refusal(api.editMessageText(7, id, 'last'))).error_code).toBe(429)
})

test('a group takes 20 at once, then one every 3 seconds', async () => {
  const { api, clock, send } = await setUp({ group: { burst: 20, every: 3000 } })
  await send(-9, 20)
  expect((await refusal(api.sendMessage(-9, 'x'))).parameters).toEqual({ retry_after: 3 })
  await send(7, 21)
  await clock.advance(3000)
  await send(-9, 1)
})
