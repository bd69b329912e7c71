import { type AgentEvent, isTenantBoxError } from '@tenantbox/core'
import { expect, test } from 'vitest'
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
  const more = gate()
  const { server, asked, warnings } = await running({
    mailbox: { maxWaiting: 3 },
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
  for (const { chat, said } of all.slice(-4)) await server.chat(chat).answer(said)
  for (const chat of [1, 2, 3, 4])
    expect(asked.all.filter(({ tenant }) => tenant === String(chat)).map(({ text: said }) => said)).toEqual(
      all.filter((one) => one.chat === chat).map(({ said }) => said),
    )
  await server.until(({ pendingUpdates }) => pendingUpdates.length === 0)
})
