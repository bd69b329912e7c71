import { testClock } from '@tenantbox/core/testing'
import { expect, test } from 'vitest'
import { botOf, refusal, run, startServer } from './support/server.js'

const setUp = async () => {
  const clock = testClock()
  const server = await startServer({ clock })
  const { api } = botOf(server)
  const user = server.chat(7).user()
  const ids = async (options: Parameters<typeof api.getUpdates>[0]) =>
    (await api.getUpdates(options)).map(({ update_id: id }) => id)
  return { api, clock, ids, server, user }
}

test('updates stay until an offset beyond them confirms them', async () => {
  const { ids, user } = await setUp()
  for (const text of ['a', 'b', 'c']) user.say(text)
  expect(await ids({})).toEqual([1000, 1001, 1002])
  expect(await ids({ limit: 2 })).toEqual([1000, 1001])
  expect(await ids({ offset: 1002 })).toEqual([1002])
  expect(await ids({ offset: 0 })).toEqual([1002])
  expect(await ids({ offset: 1003 })).toEqual([])
  expect(await ids({})).toEqual([])
})

test('a negative offset counts from the end, and forgets what is before', async () => {
  const { ids, user } = await setUp()
  for (const text of ['a', 'b', 'c']) user.say(text)
  expect(await ids({ offset: -2, limit: 1 })).toEqual([1001])
  expect(await ids({})).toEqual([1001, 1002])
})

test('an offset far ahead of everything is taken for a mistake', async () => {
  const { ids, user } = await setUp()
  user.say('a')
  expect(await ids({ offset: 5_000_000 })).toEqual([1000])
})

test('a day later updates are gone', async () => {
  const { clock, ids, user } = await setUp()
  user.say('a')
  await clock.advance(60_000)
  user.say('b')
  await clock.advance(24 * 3_600_000 - 60_000)
  expect(await ids({})).toEqual([1001])
})

test('a long poll waits for an update, or until its time is over', async () => {
  const { clock, ids, server, user } = await setUp()
  const first = ids({ timeout: 30 })
  await server.until(({ polled }) => polled)
  user.say('a')
  expect(await first).toEqual([1000])
  const second = ids({ offset: 1001, timeout: 30 })
  await server.until(({ polled }) => polled)
  await clock.advance(30_000)
  expect(await second).toEqual([])
})

test('of two pollers the older is told to go', async () => {
  const { api, server, user } = await setUp()
  const older = refusal(api.getUpdates({ timeout: 30 }))
  await server.until(({ polled }) => polled)
  const newer = api.getUpdates({ timeout: 30 })
  expect(await older).toMatchObject({
    error_code: 409,
    description:
      'Conflict: terminated by other getUpdates request; make sure that only one bot instance is running',
  })
  await server.until(({ polled }) => polled)
  user.say('a')
  expect(await newer).toHaveLength(1)
})

test('a poller that has left takes no update along', async () => {
  const { ids, server, user } = await setUp()
  const leaving = new AbortController()
  const left = fetch(`${server.url}/bot${server.token}/getUpdates?timeout=30`, { signal: leaving.signal })
  await server.until(({ polled }) => polled)
  leaving.abort()
  await expect(left).rejects.toThrow('aborted')
  user.say('a')
  expect(await ids({ timeout: 30 })).toEqual([1000])
})

test('allowed_updates decides what is made from now on', async () => {
  const { api, ids, server, user } = await setUp()
  const { message } = user.say('a')
  await api.getUpdates({ allowed_updates: ['edited_message'] })
  user.say('b')
  expect(user.edit(message.id, 'c').update).toBeDefined()
  expect(await ids({})).toEqual([1000, 1001])
  expect(server.pendingUpdates.map((update) => Object.keys(update)[1])).toEqual(['message', 'edited_message'])
})

test('updates can be doubled and reordered', async () => {
  const { ids, server, user } = await setUp()
  server.holdUpdates()
  for (const text of ['a', 'b', 'c']) user.say(text)
  expect(await ids({})).toEqual([])
  server.releaseUpdates(([a, b, c]) => [b, a, b, c].filter((update) => update !== undefined))
  expect(await ids({})).toEqual([1001, 1000, 1001, 1002])
})

test('grammY confirms what it has taken when it stops', async () => {
  const server = await startServer()
  const bot = botOf(server)
  bot.on('message', (ctx) => ctx.reply('ok'))
  const running = bot.start()
  server.chat(7).user().say('hi')
  await server.chat(7).answer('ok')
  await bot.stop()
  await running
  expect(server.pendingUpdates).toEqual([])
})

test('two bots of one token: the newer one goes on', async () => {
  const server = await startServer()
  const older = botOf(server)
  const ended = expect(older.start()).rejects.toMatchObject({ error_code: 409 })
  await server.until(({ polled }) => polled)
  const newer = botOf(server)
  newer.on('message', (ctx) => ctx.reply('ok'))
  run(newer)
  await ended
  server.chat(7).user().say('hi')
  await server.chat(7).answer('ok')
})
