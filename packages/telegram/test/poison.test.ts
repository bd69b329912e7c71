import { testClock } from '@tenantbox/core/testing'
import type { FaultScope } from '@tenantbox/telegram/testing'
import { GrammyError, type Transformer } from 'grammy'
import { expect, test } from 'vitest'
import { passTimeUntil } from '../../core/test/pass-time.js'
import { Outage } from '../src/handling/outage.js'
import { running } from './support/setup.js'

const MINUTE = 60_000
const HOUR = 60 * MINUTE

function serverError(method = 'sendMessage'): GrammyError {
  return new GrammyError('failed', { ok: false, error_code: 500, description: 'Internal' }, method, {})
}

/** An outage of which messages tell every five minutes what they meet. */
function outage() {
  const clock = testClock()
  const warned: string[] = []
  const judge = new Outage(clock, (code) => warned.push(code))
  const letter = (id: string) => ({ tenant: '7', id })
  return {
    warned,
    over: (id: string) => judge.over(letter(id)),
    /** Whether it counts against the message. */
    meets: (error: unknown, id = 'a') => judge.met(letter(id), error) === undefined,
    async fiveMinutes(taken = 0, method: Parameters<Transformer>[1] = 'sendMessage'): Promise<void> {
      const call = async () => ({ ok: true, result: true }) as never
      for (let times = 0; times < taken; times++) await judge.observer(call, method, {})
      await clock.advance(5 * MINUTE)
    },
  }
}

test('a message that meets 5xx for an hour is to blame when Telegram takes the same of others, not before', async () => {
  const { meets, fiveMinutes, warned } = outage()
  for (let minutes = 0; minutes < 60; minutes += 5) {
    expect(meets(serverError())).toBe(false)
    await fiveMinutes(1)
  }
  expect(meets(serverError())).toBe(true)
  await fiveMinutes(0)
  expect(meets(serverError())).toBe(false)
  await fiveMinutes(1, 'sendChatAction')
  expect(meets(serverError())).toBe(false)
  await fiveMinutes(1)
  expect(meets(serverError())).toBe(true)
  expect(warned).toEqual(['TELEGRAM_UNREACHABLE'])
})

test('what is no answer of 5xx, or to another call, begins the hour anew', async () => {
  const { meets, fiveMinutes } = outage()
  for (const other of [new Error('no answer'), serverError('editMessageText')]) {
    for (let minutes = 0; minutes < 60; minutes += 5) {
      expect(meets(serverError())).toBe(false)
      await fiveMinutes(1)
    }
    expect(meets(other)).toBe(false)
    await fiveMinutes(1)
  }
  expect(meets(serverError())).toBe(false)
})

test('of many messages that wait none is to blame while little is taken', async () => {
  const { meets, fiveMinutes, over } = outage()
  const ids = ['a', 'b', 'c']
  for (let minutes = 0; minutes < 120; minutes += 5) {
    for (const id of ids) expect(meets(serverError(), id)).toBe(false)
    await fiveMinutes(2)
  }
  over('c')
  expect(meets(serverError(), 'a')).toBe(true)
})

/** A gateway with a chat for which Telegram answers some calls with 5xx, and another that is answered all the time. */
async function poisoned(maxAttempts: number, calls: Pick<FaultScope, 'method'>) {
  const clock = testClock()
  const made = await running({
    pool: { clock },
    telegram: { clock, maxAttempts, onFailure: () => 'sorry' },
    handlers: (bot) =>
      bot.on('message', async (ctx) => {
        if (ctx.msg.text === 'react first') await ctx.react('👍')
        await ctx.tenant.answer()
        if (ctx.msg.text !== 'plain') await ctx.react('👍')
      }),
  })
  const { server, warnings } = made
  const heal = server.fail(
    { type: 'error', code: 500 },
    { ...calls, chat: 7, times: Number.POSITIVE_INFINITY },
  )
  return {
    ...made,
    heal,
    clock,
    chat: server.chat(7),
    async untilParked(): Promise<void> {
      const other = server.chat(8)
      for (let times = 1; !warnings.all.some(({ code }) => code === 'PARKED'); times++) {
        other.user().say(`${times}`)
        await passTimeUntil(other.answer(`${times}`), clock)
        await clock.advance(MINUTE)
      }
    },
  }
}

test('a message that Telegram answers with 5xx for ever is parked after an hour, and its chat goes on', async () => {
  const { server, chat, clock, heal, asked, tg, untilParked } = await poisoned(2, {
    method: 'setMessageReaction',
  })
  const begun = clock.monotonic()
  chat.user().say('poison')
  chat.user().say('plain')
  await untilParked()
  expect(clock.monotonic() - begun).toBeGreaterThanOrEqual(HOUR)
  await passTimeUntil(chat.answer('plain'), clock)
  expect(chat.answers.map(({ text }) => text)).toEqual(['poison', 'sorry', 'plain'])
  const ofChat = () => asked.all.filter(({ tenant }) => tenant === '7').map(({ text }) => text)
  expect(ofChat()).toEqual(['poison', 'plain'])
  heal()
  expect(await tg.retryFailed()).toBe(1)
  const reacted = server.until(({ calls }) =>
    calls.some((call) => call.chat === 7 && call.method === 'setMessageReaction' && call.outcome.ok),
  )
  await passTimeUntil(reacted, clock)
  expect(ofChat()).toEqual(['poison', 'plain', 'poison'])
})

test('a message whose apology is not taken either is parked without it', async () => {
  const { chat, warnings, clock, heal, tg, untilParked } = await poisoned(1, {})
  chat.user().say('react first')
  await untilParked()
  const told = warnings.all.filter(({ tenant }) => tenant === '7').map(({ code }) => code)
  expect(told).toEqual(['TELEGRAM_UNREACHABLE', 'NOT_DELIVERED', 'PARKED'])
  heal()
  expect(await tg.retryFailed('7')).toBe(1)
  await passTimeUntil(chat.answer('react first'), clock)
  expect(chat.answers).toHaveLength(1)
})
