import { type AgentEvent, isTenantBoxError } from '@tenantbox/core'
import { testClock } from '@tenantbox/core/testing'
import { TELEGRAM_LIMITS } from '@tenantbox/telegram/testing'
import { Workspace } from '@tenantbox/workspace'
import { expect, test } from 'vitest'
import { passTimeUntil } from '../../core/test/pass-time.js'
import { postAsAgent } from './support/post-as-agent.js'
import { gate, running } from './support/setup.js'

const done: AgentEvent = { type: 'done' }
const text = (said: string): AgentEvent => ({ type: 'text', text: said })

test('a chat that floods fills its own mailbox, is told so once, and delays nobody', async () => {
  const more = gate()
  const { server, asked, warnings } = await running({
    mailbox: { maxDepth: 3 },
    telegram: { onFailure: (error) => (isTenantBoxError(error, 'MAILBOX_FULL') ? 'too many' : undefined) },
    async *answers({ text: said }) {
      if (said.startsWith('flood')) await more.passed
      yield text(said)
      yield done
    },
  })
  const chat = server.chat(7)
  const anna = chat.user()
  for (let index = 1; index <= 6; index++) anna.say(`flood ${index}`)
  server.chat(8).user().say('hello')
  await server.chat(8).answer('hello')
  await chat.answer('too many')
  more.open()
  await chat.answer('flood 3')
  anna.say('there is room')
  await chat.answer('there is room')
  expect(asked.all.filter(({ tenant }) => tenant === '7').map(({ text: said }) => said)).toEqual([
    'flood 1',
    'flood 2',
    'flood 3',
    'there is room',
  ])
  expect(chat.answers.filter((answer) => answer.text === 'too many')).toHaveLength(1)
  expect(warnings.all.map(({ code, tenant }) => `${code} ${tenant}`)).toEqual(['FLOODED 7'])
})

test('when all mailboxes together are full, updates stay at Telegram until there is room; none is lost', async () => {
  const clock = testClock()
  const more = gate()
  const { server, asked, warnings } = await running({
    mailbox: { maxWaiting: 3 },
    telegram: { clock },
    async *answers({ text: said }) {
      await more.passed
      yield text(said)
      yield done
    },
  })
  const all = Array.from({ length: 12 }, (_, index) => ({ chat: 1 + (index % 4), said: `message ${index}` }))
  for (const { chat, said } of all) server.chat(chat).user().say(said)
  const warning = await warnings.first(({ code }) => code === 'NOT_STORED')
  expect(isTenantBoxError(warning.cause, 'MAILBOX_FULL') && warning.cause.details.bound).toBe('total')
  expect(server.pendingUpdates.length).toBeGreaterThan(0)
  more.open()
  for (const { chat, said } of all.slice(-4)) await passTimeUntil(server.chat(chat).answer(said), clock)
  for (const chat of [1, 2, 3, 4])
    expect(asked.all.filter(({ tenant }) => tenant === String(chat)).map(({ text: said }) => said)).toEqual(
      all.filter((one) => one.chat === chat).map(({ said }) => said),
    )
  await passTimeUntil(
    server.until(({ pendingUpdates }) => pendingUpdates.length === 0),
    clock,
  )
})

test('an agent that speaks without end takes from Telegram what its own chat may, and delays no other', async () => {
  const { server, dataDir } = await running({ server: { limits: TELEGRAM_LIMITS } })
  const [chat, other] = [server.chat(7), server.chat(8)]
  chat.user().say('hello')
  await chat.answer('hello')
  const statuses = new Set<number | undefined>()
  for (let index = 0; index < 100; index++)
    statuses.add(await postAsAgent(dataDir, '7', { id: `${index}`, text: `flood ${index}` }))
  expect(statuses).toEqual(new Set([202]))
  for (const said of ['one', 'two', 'three']) {
    other.user().say(said)
    await other.answer(said)
  }
  // Its chat is given one a second; the others did not wait for that.
  expect(chat.answers.length).toBeLessThan(100)
})

test('reminders leave room for what users say, and come when there is room again', async () => {
  const clock = testClock()
  const more = gate()
  const { server, pool, asked, warnings } = await running({
    mailbox: { maxDepth: 4 },
    telegram: { clock },
    async *answers({ text: said, cause }) {
      if (cause === 'schedule') await more.passed
      yield text(said)
      yield done
    },
  })
  const chat = server.chat(7)
  const anna = chat.user()
  anna.say('hello')
  await chat.answer('hello')
  const workspace = await Workspace.open(pool.get('7')?.workspaceDir ?? '')
  const reminders = Array.from({ length: 6 }, (_, index) => `reminder ${index}`)
  for (const said of reminders)
    await workspace.schedules.add({ text: said, at: new Date(clock.now() - 1000).toISOString() })
  await passTimeUntil(
    warnings.first(({ code }) => code === 'REMINDERS'),
    clock,
  )
  anna.say('one')
  anna.say('two')
  // The poller may have given a request up, as time flew, and rest.
  await passTimeUntil(
    server.until(({ pendingUpdates }) => pendingUpdates.length === 0),
    clock,
  )
  more.open()
  await passTimeUntil(asked.count(9), clock)
  expect(new Set(asked.all.map(({ text: said }) => said))).toEqual(
    new Set(['hello', 'one', 'two', ...reminders]),
  )
  expect(warnings.all.filter(({ code }) => code === 'FLOODED')).toEqual([])
})
