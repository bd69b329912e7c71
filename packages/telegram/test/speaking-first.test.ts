import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { AgentEvent } from '@tenantbox/core'
import { testClock } from '@tenantbox/core/testing'
import { Workspace } from '@tenantbox/workspace'
import { expect, test } from 'vitest'
import { passTimeUntil } from '../../core/test/pass-time.js'
import { postAsAgent } from './support/post-as-agent.js'
import { running, setup } from './support/setup.js'

const done: AgentEvent = { type: 'done' }
const text = (said: string): AgentEvent => ({ type: 'text', text: said })

test('a reminder is asked of the agent when it is due, though its box sleeps, and answered in the chat', async () => {
  const clock = testClock()
  const { server, pool, asked } = await running({
    telegram: { clock },
    answers: ({ text: said }) => [text(`${said}!`), done],
  })
  const chat = server.chat(7)
  chat.user().say('hello')
  await chat.answer('hello!')
  await pool.stop('7')
  const workspace = await Workspace.open(pool.get('7')?.workspaceDir ?? '')
  const { id } = await workspace.schedules.add({
    text: 'drink water',
    at: new Date(clock.now() + 30_000).toISOString(),
    payload: { cups: 2 },
  })
  await clock.advance(29_999)
  expect(asked.all).toHaveLength(1)
  // Until the scheduler has looked at the file it knows of nothing.
  await passTimeUntil(asked.count(2), clock)
  await chat.answer('drink water!')
  expect(asked.all[1]).toMatchObject({ cause: 'schedule', text: 'drink water', data: { cups: 2 } })
  expect(asked.all[1]?.id).toContain(id)
})

test('what was due while nothing ran comes after the start, once', async () => {
  const { server, process, asked } = await setup({ answers: ({ text: said }) => [text(`${said}!`), done] })
  const first = await process()
  await first.tg.start()
  const chat = server.chat(7)
  chat.user().say('hello')
  await chat.answer('hello!')
  const directory = first.pool.get('7')?.workspaceDir ?? ''
  await first.close()
  const workspace = await Workspace.open(directory)
  await workspace.schedules.add({ text: 'wake up', at: new Date(Date.now() - 1000).toISOString() })
  for (const round of [1, 2]) {
    const next = await process()
    await next.tg.start()
    await chat.until(({ answers }) => answers.some((answer) => answer.text === 'wake up!'))
    chat.user().say(`round ${round}`)
    await chat.answer(`round ${round}!`)
    await next.close()
  }
  expect(asked.all.filter(({ cause }) => cause === 'schedule')).toHaveLength(1)
})

test('the app words reminders, or does without', async () => {
  const { server, pool, asked } = await running({
    telegram: { reminders: ({ schedule }) => `Remind me of: ${schedule.text}` },
  })
  const chat = server.chat(7)
  chat.user().say('hello')
  await chat.answer('hello')
  const workspace = await Workspace.open(pool.get('7')?.workspaceDir ?? '')
  await workspace.schedules.add({ text: 'tea', at: new Date(Date.now() - 1000).toISOString() })
  await chat.answer('Remind me of: tea')
  expect(asked.all[1]?.cause).toBe('schedule')
})

test("the agent speaks first, with files, and only to its own tenant's chats", async () => {
  const { server, pool, dataDir } = await running()
  const [chat, other] = [server.chat(7), server.chat(8)]
  for (const one of [chat, other]) {
    one.user().say('hello')
    await one.answer('hello')
  }
  await writeFile(join(pool.get('7')?.workspaceDir ?? '', 'plan.txt'), 'the plan')
  expect(
    await postAsAgent(dataDir, '7', { id: 'a', text: 'a **thought**', files: [{ path: 'plan.txt' }] }),
  ).toBe(202)
  expect(
    await postAsAgent(dataDir, '7', { id: 'a', text: 'a **thought**', files: [{ path: 'plan.txt' }] }),
  ).toBe(202)
  expect(await postAsAgent(dataDir, '7', { id: 'b', text: 'to another', thread: '8' })).toBe(202)
  await chat.until(({ answers }) => answers.length === 4)
  expect(chat.answers.map((answer) => answer.text)).toEqual(['hello', 'a thought', '', 'to another'])
  expect(other.answers).toHaveLength(1)
})

test('the agent speaks no more at once than it may answer', async () => {
  const { server, dataDir, warnings } = await running()
  const chat = server.chat(7)
  chat.user().say('hello')
  await chat.answer('hello')
  expect(await postAsAgent(dataDir, '7', { id: 'a', text: 'x'.repeat(100_000) })).toBe(202)
  await chat.answer(/…$/)
  expect(chat.answers.map((answer) => answer.text).join('').length).toBe('hello'.length + 40_001)
  await warnings.first(({ code }) => code === 'ANSWER_CUT')
})

test('in a forum, reminders and what the agent says go to the topic they name', async () => {
  const { server, dataDir } = await running()
  const forum = server.chat(-1001234567890, { forum: true })
  const [one, two] = [forum.topic(), forum.topic()]
  forum.user({ id: 7 }).say('first', { thread: one })
  await forum.answer('first')
  forum.user({ id: 7 }).say('second', { thread: two })
  await forum.answer('second')
  await postAsAgent(dataDir, '-1001234567890', { id: 'a', text: 'back to the first', thread: String(one) })
  expect((await forum.answer('back to the first')).message.message_thread_id).toBe(one)
})
