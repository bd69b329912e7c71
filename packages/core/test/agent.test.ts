import type { IncomingMessage, ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'
import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, it, vi } from 'vitest'
import {
  type AgentEvent,
  type Answer,
  askAgent,
  createAnswer,
  type MessageInput,
  toAgentMessage,
} from '../src/agent.js'
import { ndjsonDecoder } from '../src/agent-events.js'
import { testClock } from '../src/testing/test-clock.js'
import { openTransport } from '../src/transport.js'
import { afterwards, listenHttp } from './sockets.js'

const NDJSON = { 'content-type': 'application/x-ndjson' }
const never = new AbortController().signal

interface Asked {
  readonly path: string | undefined
  readonly body: unknown
}

/** An agent on a real socket: `answer` answers messages; whatever else it was asked is kept. */
async function agent(answer: (response: ServerResponse, request: IncomingMessage) => unknown) {
  const asked: Asked[] = []
  const clock = testClock()
  const { dial, accepted } = await listenHttp(async (request, response) => {
    asked.push({ path: request.url, body: JSON.parse(await text(request)) })
    if (request.url === '/message') answer(response, request)
    else response.writeHead(404).end()
  })
  const timeouts = { connect: false, firstByte: false, silence: 60_000 } as const
  const transport = openTransport({ tenant: 'user-42', dial, timeouts, clock })
  afterwards(() => transport.close())
  const ask = (message: MessageInput = 'hello', signal: AbortSignal = never) =>
    askAgent((path, init) => transport.fetch(path, init), message, signal, { tenant: 'user-42', clock })
  return { ask, asked, clock, accepted }
}

const answering = (body: string | Buffer, headers: Record<string, string> = NDJSON) =>
  agent((response) => response.writeHead(200, headers).end(body))

async function all(events: AsyncIterable<AgentEvent>): Promise<AgentEvent[]> {
  const seen: AgentEvent[] = []
  for await (const event of events) seen.push(event)
  return seen
}

/** What was seen before the failure, and the failure. */
async function untilFailure(events: AsyncIterable<AgentEvent>) {
  const seen: AgentEvent[] = []
  try {
    for await (const event of events) seen.push(event)
  } catch (error) {
    return { seen, error }
  }
  throw new Error('it did not fail')
}

const agentFailed = (details: object) => ({ code: 'AGENT_FAILED', tenant: 'user-42', details })

describe('toAgentMessage', () => {
  it('fills in what is left out', () => {
    const message = toAgentMessage('hello')
    expect(message).toEqual({
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      text: 'hello',
      cause: 'app',
      attempt: 1,
    })
    expect(toAgentMessage('hello').id).not.toBe(message.id)
  })

  it('keeps what is given', () => {
    const message = { id: '1', text: 'hello', cause: 'user', attempt: 3, thread: 't', data: [1] } as const
    expect(toAgentMessage(message)).toEqual(message)
  })
})

describe('askAgent', () => {
  it('sends the message as the contract says', async () => {
    const { ask, asked } = await answering('{"type":"done"}\n')
    await all(ask({ text: 'hello', thread: 'work', id: 'm-1' }))
    expect(asked).toEqual([
      { path: '/message', body: { id: 'm-1', text: 'hello', thread: 'work', cause: 'app', attempt: 1 } },
    ])
  })

  it('does nothing before it is read', async () => {
    const { ask, asked } = await answering('{"type":"done"}\n')
    ask()
    await turn()
    expect(asked).toEqual([])
  })

  it('yields every kind of event', async () => {
    const events: AgentEvent[] = [
      { type: 'status', text: 'thinking' },
      { type: 'text', text: 'grüße' },
      { type: 'tool', callId: '1', name: 'search', state: 'started', input: { q: 'x' } },
      { type: 'file', file: { path: 'out.png', bytes: 3 } },
      { type: 'data', name: 'usage', data: null },
      { type: 'done', data: { tokens: 5 } },
    ]
    const { ask } = await answering(`${events.map((event) => JSON.stringify(event)).join('\r\n\n')}\n`)
    expect(await all(ask())).toEqual(events)
  })

  it('yields events as they come, whatever the pieces they come in', async () => {
    const bytes = Buffer.from('{"type":"text","text":"ü🙂"}\n{"type":"done"}')
    const { ask } = await agent((response) => {
      response.writeHead(200, NDJSON)
      const write = (at: number): void => {
        if (at < bytes.length) response.write(bytes.subarray(at, at + 1), () => setImmediate(write, at + 1))
        else response.end()
      }
      write(0)
    })
    expect(await all(ask())).toEqual([{ type: 'text', text: 'ü🙂' }, { type: 'done' }])
  })

  it('yields an event before the answer has ended', async () => {
    let finish = (): void => undefined
    const { ask } = await agent((response) => {
      response.writeHead(200, NDJSON).write('{"type":"text","text":"a"}\n')
      finish = () => response.end('{"type":"done"}\n')
    })
    const answer = ask()
    expect((await answer.next()).value).toEqual({ type: 'text', text: 'a' })
    finish()
    expect(await all(answer)).toEqual([{ type: 'done' }])
  })

  it('leaves out events of types it does not know', async () => {
    const { ask } = await answering('{"type":"mood","is":1}\n{"type":"toString"}\n{"type":"done"}\n')
    expect(await all(ask())).toEqual([{ type: 'done' }])
  })

  it('yields an error and ends with it', async () => {
    const { ask, asked } = await answering('{"type":"error","message":"no"}\n{"type":"text","text":"late"}\n')
    expect(await all(ask())).toEqual([{ type: 'error', message: 'no' }])
    expect(asked).toHaveLength(1)
  })

  it('lets the agent close its answer itself, and keeps the connection', async () => {
    const closed: boolean[] = []
    const { ask, accepted } = await agent((response) => {
      response.on('close', () => closed.push(response.writableFinished))
      response.writeHead(200, NDJSON).write('{"type":"done"}\n')
      // It still has something to do first.
      setTimeout(() => response.end(), 20)
    })
    for (let n = 0; n < 3; n++) for await (const event of ask()) if (event.type === 'done') break
    await vi.waitUntil(() => closed.length === 3)
    expect(closed).toEqual([true, true, true])
    expect(accepted()).toBeLessThanOrEqual(2)
  })

  it('does not wait long for an agent that does not close its answer', async () => {
    const { ask, clock } = await agent((response) =>
      response.writeHead(200, NDJSON).write('{"type":"done"}\nmore'),
    )
    const answer = ask()
    expect((await answer.next()).value).toEqual({ type: 'done' })
    const ended = answer.next()
    await clock.advance(1_000)
    expect((await ended).done).toBe(true)
    expect(clock.pending).toEqual([])
  })

  it('streams a text answer, characters cut by its pieces made whole', async () => {
    const bytes = Buffer.from('grüße 🙂')
    const { ask } = await agent((response) => {
      response.writeHead(200, { 'content-type': 'Text/Plain; charset=utf-8' })
      const write = (at: number): void => {
        if (at < bytes.length) response.write(bytes.subarray(at, at + 1), () => setImmediate(write, at + 1))
        else response.end()
      }
      write(0)
    })
    const events = await all(ask())
    expect(events.at(-1)).toEqual({ type: 'done' })
    expect(events.flatMap((event) => (event.type === 'text' ? [event.text] : [])).join('')).toBe('grüße 🙂')
  })

  it.each([
    ['text', ''],
    ['text', 'half \xc3'],
  ])('takes an odd %s answer', async (_what, body) => {
    const { ask } = await answering(Buffer.from(body, 'latin1'), { 'content-type': 'text/plain' })
    expect((await all(ask())).at(-1)).toEqual({ type: 'done' })
  })

  it.each([
    ['no JSON', '{"type":"text"\n'],
    ['no object', '[]\n'],
    ['no type', '{"text":"x"}\n'],
    ['a text without text', '{"type":"text"}\n'],
    ['a tool in no known state', '{"type":"tool","callId":"1","name":"x","state":"odd"}\n'],
    ['a file without a path', '{"type":"file","file":{}}\n'],
    ['a file of negative size', '{"type":"file","file":{"path":"a","bytes":-1}}\n'],
    ['data without any', '{"type":"data","name":"x"}\n'],
    ['an error without a message', '{"type":"error"}\n'],
    ['broken UTF-8', Buffer.from('{"type":"text","text":"\xff"}\n', 'latin1')],
    ['no end', ''],
    ['a cut line at its end', '{"type":"do'],
  ])('fails for an answer with %s', async (_what, line) => {
    const first = Buffer.from('{"type":"text","text":"begun"}\n')
    const { ask } = await answering(Buffer.concat([first, Buffer.from(line as string)]))
    const { seen, error } = await untilFailure(ask())
    expect(seen).toEqual([{ type: 'text', text: 'begun' }])
    expect(error).toMatchObject(agentFailed({ status: 200, sent: true, partial: true }))
    expect(String(error)).not.toContain('begun')
  })

  it('fails for an answer whose connection is cut', async () => {
    const { ask } = await agent((response) => {
      response.writeHead(200, NDJSON).write('{"type":"text","text":"begun"}\n', () => response.destroy())
    })
    const { error } = await untilFailure(ask())
    expect(error).toMatchObject(agentFailed({ sent: true, partial: true }))
  })

  it('fails for a line that is too long, without keeping it', async () => {
    const { ask } = await agent((response) => {
      response.writeHead(200, NDJSON).write('"')
      const go = (): void => {
        while (response.write('x'.repeat(100_000)));
      }
      response.on('drain', go)
      go()
    })
    const { error } = await untilFailure(ask())
    expect(error).toMatchObject({ code: 'TOO_LARGE', tenant: 'user-42', details: { limit: 1024 * 1024 } })
  })

  it.each([
    ['another status', 500, NDJSON],
    ['nothing to read', 204, {}],
    ['what is neither text nor events', 200, { 'content-type': 'application/json' }],
    ['no type', 200, {}],
  ])('fails for %s', async (_what, status, headers) => {
    const { ask, asked } = await agent((response) => response.writeHead(status, headers).end())
    const { error } = await untilFailure(ask())
    expect(error).toMatchObject(agentFailed({ status, sent: true, partial: false }))
    await turn()
    expect(asked).toHaveLength(1)
  })

  it('says when nothing was sent', async () => {
    const dial = () => Promise.reject(Object.assign(new Error('nobody there'), { code: 'ENOENT' }))
    const timeouts = { connect: false, firstByte: false, silence: false } as const
    const transport = openTransport({ tenant: 'user-42', dial, timeouts })
    const { error } = await untilFailure(
      askAgent((path, init) => transport.fetch(path, init), 'hello', never),
    )
    expect(error).toMatchObject(agentFailed({ sent: false, partial: false }))
  })

  describe('that is cancelled', () => {
    async function hanging() {
      let gone = (): void => undefined
      const closed = new Promise<void>((resolve) => {
        gone = resolve
      })
      const hung = await agent((response) => {
        response.on('close', gone)
        response.writeHead(200, NDJSON).write('{"type":"text","text":"begun"}\n')
      })
      return { ...hung, closed }
    }
    const cancelled = (asked: readonly Asked[]) =>
      vi.waitFor(() => expect(asked[1]).toEqual({ path: '/cancel', body: { id: 'm-1' } }))

    it('by its signal, closes the connection and tells the agent', async () => {
      const { ask, asked, closed } = await hanging()
      const caller = new AbortController()
      const answer = ask({ id: 'm-1', text: 'hello' }, caller.signal)
      await answer.next()
      const next = answer.next()
      caller.abort('enough')
      await expect(next).rejects.toBe('enough')
      await closed
      await cancelled(asked)
    })

    it('by leaving it, closes the connection and tells the agent', async () => {
      const { ask, asked, closed } = await hanging()
      for await (const _ of ask({ id: 'm-1', text: 'hello' })) break
      await closed
      await cancelled(asked)
    })

    it('by the agent’s silence, does so too', async () => {
      const { ask, asked, closed, clock } = await hanging()
      const failed = untilFailure(ask({ id: 'm-1', text: 'hello' }))
      await vi.waitUntil(() => asked.length === 1)
      await turn()
      await vi.waitUntil(() => clock.pending.length > 0)
      await clock.advance(60_000)
      expect((await failed).error).toMatchObject({ code: 'TIMEOUT' })
      await closed
      await cancelled(asked)
    })

    it('before it is sent, sends nothing', async () => {
      const { ask, asked } = await hanging()
      await expect(ask('hello', AbortSignal.abort('enough')).next()).rejects.toBe('enough')
      await turn()
      expect(asked).toEqual([])
    })
  })
})

describe('ndjsonDecoder', () => {
  it('takes a line of exactly the longest length', () => {
    const line = Buffer.from('{"type":"done"}')
    expect([...ndjsonDecoder(line.length).push(Buffer.concat([line, Buffer.from('\n')]))]).toEqual([
      { type: 'done' },
    ])
    expect(() => [...ndjsonDecoder(line.length - 1).push(line)]).toThrow('a line of at least 15 bytes')
  })
})

describe('createAnswer', () => {
  async function* events(...given: AgentEvent[]): AsyncGenerator<AgentEvent> {
    yield* given
  }
  const answerOf = (...given: AgentEvent[]): Answer =>
    createAnswer(() => events(...given), { tenant: 'user-42' })

  it('is lazy', async () => {
    const run = vi.fn(() => events({ type: 'done' }))
    const answer = createAnswer(run)
    const iterator = answer[Symbol.asyncIterator]()
    expect(run).not.toHaveBeenCalled()
    await iterator.next()
    expect(run).toHaveBeenCalledTimes(1)
  })

  it('can be read once', async () => {
    const answer = answerOf({ type: 'done' })
    await all(answer)
    await expect(all(answer)).rejects.toThrow(TypeError)
    await expect(answer.text()).rejects.toThrow('only once')
  })

  it('gives all of its text', async () => {
    expect(
      await answerOf(
        { type: 'text', text: 'a' },
        { type: 'status', text: '-' },
        { type: 'text', text: 'b' },
        { type: 'done' },
      ).text(),
    ).toBe('ab')
  })

  it('has no text when the agent reports an error', async () => {
    const answer = answerOf(
      { type: 'text', text: 'a' },
      { type: 'error', message: 'secret\u001b[2J', retryable: true },
    )
    const error = await answer.text().catch((caught: unknown) => caught)
    expect(error).toMatchObject({
      ...agentFailed({ sent: true, partial: true }),
      retryable: true,
      cause: { message: 'secret\\u001b[2J' },
    })
    expect(String(error)).not.toContain('secret')
  })

  it('passes failures on', async () => {
    const error = new Error('no')
    const answer = createAnswer(async function* () {
      yield { type: 'text', text: 'a' }
      throw error
    })
    await expect(answer.text()).rejects.toBe(error)
  })

  it('ends what it reads when its reader leaves between events', async () => {
    const ended = vi.fn()
    const answer = createAnswer(async function* (signal) {
      try {
        yield { type: 'text', text: 'a' }
        yield { type: 'text', text: 'b' }
      } finally {
        ended(signal.aborted)
      }
    })
    for await (const _ of answer) break
    expect(ended).toHaveBeenCalledExactlyOnceWith(false)
  })

  it('aborts what it waits for when its reader leaves meanwhile', async () => {
    const answer = createAnswer(async function* (signal) {
      yield { type: 'status', text: 'waking' }
      await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    })
    const iterator = answer[Symbol.asyncIterator]()
    await iterator.next()
    const next = iterator.next()
    await iterator.return?.()
    expect(await next).toEqual({ done: true, value: undefined })
    expect(await iterator.next()).toEqual({ done: true, value: undefined })
  })
})
