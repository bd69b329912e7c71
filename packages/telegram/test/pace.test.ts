import { writeFile } from 'node:fs/promises'
import { request as httpRequest } from 'node:http'
import { join } from 'node:path'
import type { AgentEvent, Clock } from '@tenantbox/core'
import { testClock } from '@tenantbox/core/testing'
import { expect, test } from 'vitest'
import { passTimeUntil } from '../../core/test/pass-time.js'
import { Pace } from '../src/sending/pace.js'
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

test('who takes long rests long; nobody else does', async () => {
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
  await work('b', 250)
  await clock.advance(24_749)
  expect(done).toEqual(['a 250', 'b 250'])
  await clock.advance(1)
  await second
  expect(done).toEqual(['a 250', 'b 250', 'a 1'])
  await clock.advance(99)
  await third
  // Rested since: at once.
  await clock.advance(99)
  await work('a', 1)
  expect(done.slice(3)).toEqual(['a 1', 'a 1'])
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
  for (const id of ['1', '2', '3']) await say(dataDir, { id, text: `**${id}**` })
  await passTimeUntil(chat.answer('3'), clock)
  expect(chat.answers.map(({ text }) => text)).toEqual(['hello', '1', '2', '3'])
  expect(clock.monotonic() - begun).toBeGreaterThanOrEqual(3 * 990)
})

test('an agent whose files are not there is warned of once a second', async () => {
  const clock = testClock()
  const { server, dataDir, warnings } = await running({ telegram: { clock } })
  const chat = server.chat(7)
  chat.user().say('hello')
  await passTimeUntil(chat.answer('hello'), clock)
  const begun = clock.monotonic()
  const files = Array.from({ length: 3 }, (_, index) => ({ path: `missing-${index}` }))
  await say(dataDir, { id: 'a', text: '', files })
  await passTimeUntil(warnings.count(3), clock)
  expect(clock.monotonic() - begun).toBeGreaterThanOrEqual(2_000)
})

test('an agent sends no more files at once than it may have sent along', async () => {
  const clock = testClock()
  const { server, warnings } = await running({
    telegram: { clock },
    async *answers(_message, { env }) {
      await writeFile(join(env.HOME ?? '', 'a.txt'), 'a')
      for (let index = 0; index < 101; index++) yield { type: 'file', file: { path: 'a.txt' } }
      yield done
    },
  })
  const chat = server.chat(7)
  chat.user().say('hello')
  await passTimeUntil(
    warnings.first(({ code }) => code === 'ANSWER_CUT'),
    clock,
  )
  expect(chat.answers).toHaveLength(100)
})

/** As an agent posts: over the socket of its own box. */
async function say(dataDir: string, message: object): Promise<void> {
  const socketPath = join(dataDir, '7', 'gateway', 'gateway.sock')
  const status = await new Promise((resolve, reject) => {
    const request = httpRequest({ socketPath, path: '/messages', method: 'POST' }, (response) =>
      resolve(response.resume().statusCode),
    )
    request.on('error', reject).end(JSON.stringify(message))
  })
  expect(status).toBe(202)
}
