import type { AgentEvent, Clock } from '@tenantbox/core'
import { testClock } from '@tenantbox/core/testing'
import { expect, test } from 'vitest'
import { passTimeUntil } from '../../core/test/pass-time.js'
import { Pace } from '../src/sending/pace.js'
import { postAsAgent } from './support/post-as-agent.js'
import { running } from './support/setup.js'

const never = new AbortController().signal

/** A clock by which work takes time: as much as it says with `take`. */
function workClock() {
  const clock = testClock()
  let taken = 0
  const monotonic = () => clock.monotonic() + taken
  return {
    clock,
    working: { ...clock, now: () => clock.now(), after: clock.after.bind(clock), monotonic } satisfies Clock,
    take: (ms: number) => {
      taken += ms
    },
  }
}

test('who takes long waits long; nobody else does', async () => {
  const { clock, working, take } = workClock()
  const pace = new Pace(working)
  const done: string[] = []
  const work = (tenant: string, ms: number) =>
    pace.run(tenant, never, () => {
      take(ms)
      done.push(`${tenant} ${ms}`)
    })
  await work('a', 250)
  const second = work('a', 1)
  const third = work('a', 1)
  await work('b', 1)
  await clock.advance(14_999)
  expect(done).toEqual(['a 250', 'b 1'])
  await clock.advance(1)
  await second
  expect(done).toEqual(['a 250', 'b 1', 'a 1'])
  await clock.advance(98)
  await third
})

test('what is of an ordinary kind is done at once', async () => {
  const { clock, working, take } = workClock()
  const pace = new Pace(working)
  for (let index = 0; index < 50; index++) await pace.run('a', never, () => take(2))
  const next = pace.run('a', never, () => take(2))
  await clock.advance(9_900)
  await next
})

test('who need not go on does not wait', async () => {
  const { working, take } = workClock()
  const pace = new Pace(working)
  await pace.run('a', never, () => take(250))
  const giveUp = new AbortController()
  const waiting = pace.run('a', giveUp.signal, () => expect.fail('it was not to begin'))
  giveUp.abort(new Error('closing'))
  await expect(waiting).rejects.toThrow('closing')
})

const done: AgentEvent = { type: 'done' }

/** A gateway by whose clock everything it does takes ten milliseconds. */
async function slowly(answers: (said: string) => AgentEvent[] = () => []) {
  const { clock, working, take } = workClock()
  const slow: Clock = {
    ...working,
    monotonic: () => {
      take(10)
      return working.monotonic()
    },
  }
  const world = await running({
    telegram: { clock: slow },
    answers: ({ text }) => [...answers(text), { type: 'text', text }, done],
  })
  const chat = world.server.chat(7)
  chat.user().say('hello')
  await passTimeUntil(chat.answer('hello'), clock)
  return { ...world, chat, clock }
}

test('an agent that says what takes long to read is heard no more often than others can bear', async () => {
  const { chat, clock, dataDir } = await slowly()
  const begun = clock.monotonic()
  const ids = Array.from({ length: 15 }, (_, index) => `${index + 1}`)
  for (const id of ids) await postAsAgent(dataDir, '7', { id, text: `**${id}**` })
  await passTimeUntil(chat.answer('15'), clock)
  expect(chat.answers.map(({ text }) => text)).toEqual(['hello', ...ids])
  expect(clock.monotonic() - begun).toBeGreaterThanOrEqual(3_000)
})

test('an agent whose files are not there is warned of ten times, then once a second', async () => {
  const clock = testClock()
  const { server, dataDir, warnings } = await running({ telegram: { clock } })
  const chat = server.chat(7)
  chat.user().say('hello')
  await passTimeUntil(chat.answer('hello'), clock)
  const begun = clock.monotonic()
  const files = Array.from({ length: 13 }, (_, index) => ({ path: `missing-${index}` }))
  await postAsAgent(dataDir, '7', { id: 'a', text: '', files })
  await passTimeUntil(warnings.count(13), clock)
  expect(clock.monotonic() - begun).toBeGreaterThanOrEqual(2_000)
})
