import type { AgentEvent, TenantPool } from '@tenantbox/core'
import { describe, expect, it } from 'vitest'
import { Budget } from '../src/gateway/llm/budget.js'
import { llmProxy } from '../src/gateway/llm/llm-proxy.js'
import { Notebook } from '../src/notebook/notebook.js'
import { useAgent } from './support/agent.js'
import {
  begin,
  breaksOff,
  calls,
  fails,
  type ModelServer,
  modelServer,
  type Reply,
  says,
} from './support/model-server.js'
import { processPool } from './support/pool.js'

const KEY = 'sk-the-key-of-the-gateway'
const MODEL = 'test-model'

const agent = useAgent()

/** A pool whose agents think with the model. */
async function thinking(server: ModelServer, deadline?: () => AbortSignal): Promise<TenantPool> {
  const env = { COMPANION_MODEL: MODEL }
  const command = [process.execPath, `${agent()}/agent.mjs`]
  const pool = await processPool(agent(), { box: { image: 'none', command, env } })
  const access = { baseUrl: server.baseUrl, key: KEY, model: MODEL }
  const budget = new Budget(Date.now)
  pool.serve('/llm', llmProxy({ access, budget, onTrouble: () => {}, deadline }))
  return pool
}

const ask = (pool: TenantPool, text: string, id = 'm1') => pool.send('ada', { id, text, cause: 'user' })

async function eventsOf(answer: AsyncIterable<AgentEvent>): Promise<AgentEvent[]> {
  const events: AgentEvent[] = []
  for await (const event of answer) events.push(event)
  return events
}

async function notebookOf(pool: TenantPool): Promise<Notebook> {
  return Notebook.open(pool.get('ada')?.workspaceDir ?? '')
}

describe('the agent with a model', { timeout: 60_000 }, () => {
  it('streams what the model says, and tells it what was said and noted before', async () => {
    const server = await modelServer(says('Hello', ' Ada'), says('Miso, I believe'))
    const pool = await thinking(server)
    const events = await eventsOf(ask(pool, 'hi there'))
    expect(events).toEqual([
      { type: 'text', text: 'Hello' },
      { type: 'text', text: ' Ada' },
      { type: 'done' },
    ])
    await (await notebookOf(pool)).notes.add('her cat is called Miso')
    expect(await ask(pool, 'my cat?', 'm2').text()).toBe('Miso, I believe')
    const [system, ...rest] = server.asked[1]?.body.messages ?? []
    expect(system?.content).toContain('her cat is called Miso')
    expect(rest).toEqual([
      { role: 'user', content: 'hi there' },
      { role: 'assistant', content: 'Hello Ada' },
      { role: 'user', content: 'my cat?' },
    ])
    expect(server.asked[0]).toMatchObject({
      path: '/v1/chat/completions',
      headers: { authorization: `Bearer ${KEY}` },
      body: { model: MODEL, stream: true },
    })
  })

  it('remembers, reminds and forgets reminders when the model asks for it', async () => {
    const server = await modelServer(
      calls('remember', { note: 'likes tea' }),
      calls('remind', { text: 'drink tea', cron: '0 16 * * *' }),
      says('Done.'),
    )
    const pool = await thinking(server)
    const events = await eventsOf(ask(pool, 'I like tea, remind me daily at 4'))
    expect(events.filter(({ type }) => type === 'tool')).toMatchObject([
      { name: 'remember', state: 'started' },
      { name: 'remember', state: 'done', input: { note: 'likes tea' } },
      { name: 'remind', state: 'started' },
      { name: 'remind', state: 'done' },
    ])
    const notebook = await notebookOf(pool)
    expect(await notebook.notes.list()).toEqual(['likes tea'])
    expect(await notebook.reminders.list()).toMatchObject([
      { text: 'drink tea', when: { cron: '0 16 * * *' } },
    ])
    expect(server.asked[2]?.body.messages.at(-1)).toMatchObject({ role: 'tool', tool_call_id: 'call-1' })
  })

  it.each([
    ['what is no tool', 'toString', {}],
    ['a reminder without a time', 'remind', { text: 'x' }],
    ['a reminder in the past', 'remind', { text: 'x', at: '2001-01-01T00:00:00' }],
    ['a reminder every second', 'remind', { text: 'x', every: '1s' }],
    ['a cron that is none', 'remind', { text: 'x', cron: 'every day' }],
    ['an empty note', 'remember', { note: ' ' }],
    ['a reminder that is not there', 'forget_reminder', { id: 'none' }],
  ])('tells the model of %s, which goes on', async (_what, tool, given) => {
    const server = await modelServer(calls(tool, given), says('Sorry.'))
    const pool = await thinking(server)
    expect(await ask(pool, 'do it').text()).toBe('Sorry.')
    expect(await (await notebookOf(pool)).reminders.list()).toEqual([])
    expect(server.asked[1]?.body.messages.at(-1)).toMatchObject({ role: 'tool' })
  })

  it('gives up on a model that calls tools for ever', async () => {
    const server = await modelServer(calls('remember', { note: 'again' }))
    const pool = await thinking(server)
    const last = (await eventsOf(ask(pool, 'go'))).at(-1)
    expect(last).toMatchObject({ type: 'error', retryable: false })
    expect(server.asked).toHaveLength(5)
  })

  const failures: readonly [string, Reply, boolean][] = [
    ['is overloaded', fails(429), true],
    ['fails', fails(500), true],
    ['breaks off', breaksOff, true],
    ['stops short', (response) => void response.end('data: {"choices":[]}\n\n'), true],
    ['talks nonsense', (response) => void response.end('data: {nonsense\n\n'), true],
    ['reports an error in place of an answer', (response) => void response.end('{"error":{}}'), true],
    ['says nothing', says(''), true],
    ['does not take the key', fails(401), false],
    ['is not there by that name', fails(404), false],
  ]
  it.each(failures)('says so when the model %s', async (_what, reply, retryable) => {
    const pool = await thinking(await modelServer(reply))
    expect((await eventsOf(ask(pool, 'hi'))).at(-1)).toMatchObject({ type: 'error', retryable })
    const entries = await (await notebookOf(pool)).workspace.session.tail(1)
    expect(entries).toMatchObject([{ role: 'assistant', state: 'failed' }])
  })

  it('does not wait for ever for a model that falls silent', async () => {
    const late = new AbortController()
    const server = await modelServer((response) => begin(response, { content: 'Hel' }))
    const events: AgentEvent[] = []
    for await (const event of ask(await thinking(server, () => late.signal), 'hi')) {
      events.push(event)
      late.abort()
    }
    expect(events).toMatchObject([{ type: 'text' }, { type: 'error', retryable: true }])
  })

  it('stops asking when the answer is cancelled, keeps what there was, and is ready for more', async () => {
    let closed = () => {}
    const hungUp = new Promise<void>((resolve) => {
      closed = resolve
    })
    const server = await modelServer((response) => {
      response.once('close', closed)
      begin(response, { content: 'Well' })
    }, says('Here.'))
    const pool = await thinking(server)
    for await (const event of ask(pool, 'tell me everything')) if (event.type === 'text') break
    await hungUp
    expect(await ask(pool, 'still there?', 'm2').text()).toBe('Here.')
    const entries = await (await notebookOf(pool)).workspace.session.tail(4)
    expect(entries).toMatchObject([
      { role: 'user' },
      { role: 'assistant', state: 'cancelled', content: 'Well' },
      { role: 'user' },
      { role: 'assistant', state: 'complete' },
    ])
  })
})
