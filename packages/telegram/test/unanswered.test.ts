import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestClock, testClock } from '@tenantbox/core/testing'
import { Bot, HttpError, InputFile, InputMediaBuilder } from 'grammy'
import { expect, test } from 'vitest'
import { TokenScrubber } from '../src/common/token.js'
import { Outage } from '../src/handling/outage.js'
import { refusalOf } from '../src/sending/refusal.js'
import { takeOver } from '../src/take-over.js'
import { leapingClock } from './support/clock.js'
import { Log } from './support/log.js'
import { atEnd, running, type TestContext } from './support/setup.js'
import { TOKEN } from './support/token-watch.js'

const MINUTE = 60_000

/** A Telegram that takes what it is sent, and answers nothing; and the API of a bot that the gateway has taken over. */
async function blackHole(client: { timeoutSeconds?: number } = {}) {
  /** How many bytes of bodies have arrived, after each piece; calls that were given up. */
  const arrived = new Log<number>()
  const givenUp = new Log<string>()
  let bytes = 0
  const server = createServer((request) => {
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      arrived.add(bytes)
    })
    request.on('close', () => givenUp.add(request.url?.split('/').at(-1) ?? ''))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  atEnd(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const bot = new Bot<TestContext>(TOKEN, { client: { ...client, apiRoot: `http://127.0.0.1:${port}` } })
  const clock = testClock()
  const warn = () => undefined
  const parts = { clock, scrubber: new TokenScrubber(TOKEN), outage: new Outage(clock, warn) }
  takeOver(bot, parts, () => undefined)
  return { api: bot.api, clock, arrived, givenUp }
}

/** What a call has come to, and how it goes on after some time. */
function watch(call: Promise<unknown>, clock: TestClock) {
  let outcome: unknown = 'waits'
  const ended = call.then(
    () => expect.fail('nobody has answered'),
    (error: unknown) => {
      outcome = error
    },
  )
  return {
    ended,
    async after(ms: number): Promise<unknown> {
      await clock.advance(ms)
      return outcome
    },
  }
}

test('a call that is not answered ends after a minute, like one that Telegram cannot be reached for', async () => {
  const { api, clock, arrived, givenUp } = await blackHole()
  const call = watch(api.sendMessage(7, 'hello'), clock)
  await arrived.count(1)
  expect(await call.after(MINUTE - 1)).toBe('waits')
  const error = await call.after(1)
  expect(error).toBeInstanceOf(HttpError)
  expect(refusalOf(error)).toEqual({ kind: 'unreachable' })
  await givenUp.first((method) => method === 'sendMessage')
  expect(clock.pending).toEqual([])
})

test('an upload has a minute for each piece, and then as long as so much may take', async () => {
  const { api, clock, arrived } = await blackHole()
  const wanted = new Log<() => void>()
  async function* pieces() {
    for (let index = 0; index < 3; index++) {
      await new Promise<void>((resolve) => wanted.add(resolve))
      yield Buffer.alloc(100_000)
    }
  }
  const photo = InputMediaBuilder.photo('known-by-its-id')
  const document = InputMediaBuilder.document(new InputFile(pieces(), 'a.bin'))
  const call = watch(api.sendMediaGroup(7, [photo, document] as never), clock)
  for (let index = 1; index <= 3; index++) {
    await wanted.count(index)
    expect(await call.after(MINUTE - 1)).toBe('waits')
    wanted.all[index - 1]?.()
    await arrived.first((bytes) => bytes >= index * 100_000)
  }
  expect(await call.after(MINUTE + 2_999)).toBe('waits')
  expect(refusalOf(await call.after(1))).toEqual({ kind: 'unreachable' })
})

test('the long poll is left alone, and so is a bot with a deadline of its own', async () => {
  for (const [client, method] of [
    [{}, 'getUpdates'],
    [{ timeoutSeconds: 300 }, 'sendMessage'],
  ] as const) {
    const { api, clock, arrived } = await blackHole(client)
    const caller = new AbortController()
    const raw = api.raw as unknown as Record<
      string,
      (payload: object, signal: AbortSignal) => Promise<unknown>
    >
    const call = watch(Promise.resolve(raw[method]?.({ chat_id: 7, text: 'x' }, caller.signal)), clock)
    await arrived.count(1)
    expect(await call.after(10 * MINUTE)).toBe('waits')
    caller.abort()
    await call.ended
  }
})

test('an answer that Telegram does not answer waits as in an outage, and the agent is asked once', async () => {
  const clock = leapingClock()
  const { server, asked, dataDir, warnings } = await running({
    pool: { clock },
    telegram: { clock, maxAttempts: 1, stream: false },
    client: {},
  })
  let hanging = 0
  server.subscribe((event) => {
    if (event.type === 'fault') hanging++
  })
  const back = server.fail({ type: 'hang' }, { method: 'sendMessage', times: Number.POSITIVE_INFINITY })
  const chat = server.chat(7)
  chat.user().say('hello')
  // Tried again for two minutes, then left to the message's next attempt.
  for (const times of [1, 2]) {
    await server.until(() => hanging === times)
    clock.leap(MINUTE)
  }
  await warnings.first(({ code, tenant }) => code === 'TELEGRAM_UNREACHABLE' && tenant === '7')
  back()
  await chat.answer('hello')
  expect(asked.all.map(({ attempt }) => attempt)).toEqual([1])
  const files = await readdir(dataDir, { recursive: true })
  expect(files.filter((path) => path.includes('/mailbox/failed/'))).toEqual([])
})
