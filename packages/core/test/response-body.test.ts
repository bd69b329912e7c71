import { describe, expect, it, vi } from 'vitest'
import { type BodyOutcome, endWithBody } from '../src/response-body.js'
import { testClock } from '../src/testing/test-clock.js'
import { openTransport } from '../src/transport.js'
import { afterwards, listenHttp } from './sockets.js'

/** A body of these pieces, the rest whenever the test says. */
function pieces(...first: string[]) {
  const cancelled = vi.fn()
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined
  const body = new ReadableStream<Uint8Array>({
    start(started) {
      controller = started
      for (const piece of first) started.enqueue(Buffer.from(piece))
    },
    cancel: cancelled,
  })
  return {
    body,
    cancelled,
    push: (piece: string) => controller?.enqueue(Buffer.from(piece)),
    end: () => controller?.close(),
    fail: (error: Error) => controller?.error(error),
  }
}

function watch(body: ConstructorParameters<typeof Response>[0], init: ResponseInit = {}) {
  const clock = testClock()
  const outcomes: BodyOutcome[] = []
  const response = endWithBody(new Response(body, init), (outcome) => outcomes.push(outcome), { clock })
  return { clock, outcomes, response }
}

describe('endWithBody', () => {
  it('keeps what the response is', async () => {
    const agent = await listenHttp((_, response) => {
      response
        .writeHead(
          202,
          'Taken',
          [
            ['set-cookie', 'a=1'],
            ['set-cookie', 'b=2'],
            ['x-app', 'yes'],
          ].flat(),
        )
        .write('{"a"')
      response.end(':1}')
    })
    const transport = openTransport({
      tenant: 'user-42',
      dial: agent.dial,
      timeouts: { connect: false, firstByte: false, silence: false },
    })
    afterwards(() => transport.close())
    const plain = await transport.fetch('/notes?all=1')
    const { url, status, statusText } = plain
    const response = endWithBody(plain, () => undefined)
    expect(response).toBeInstanceOf(Response)
    expect(response).toMatchObject({ url, status, statusText, ok: true, redirected: false })
    expect([status, statusText]).toEqual([202, 'Taken'])
    expect(response.headers.getSetCookie()).toEqual(['a=1', 'b=2'])
    expect(response.headers.get('x-app')).toBe('yes')
    expect(await response.json()).toEqual({ a: 1 })
  })

  it('takes a reason phrase that Response would not', () => {
    const strange = Object.defineProperty(new Response('ok'), 'statusText', { value: 'n\u0000\u{1f600}' })
    expect(endWithBody(strange, () => undefined).statusText).toBe('')
  })

  it.each([
    ['none', null, {}],
    ['an empty one', '', { headers: { 'content-length': '0' } }],
    ['none for its status', null, { status: 204 }],
  ])('ends at once with %s', (_what, body, init) => {
    expect(watch(body, init).outcomes).toEqual(['read'])
  })

  it('ends once it is read', async () => {
    const { body, end } = pieces('hello')
    const { response, outcomes, clock } = watch(body)
    const text = response.text()
    await clock.advance(10_000)
    expect(outcomes).toEqual([])
    end()
    expect(await text).toBe('hello')
    expect(outcomes).toEqual(['read'])
    expect(clock.pending).toEqual([])
  })

  it('ends once all of a small one has come, though nobody reads it', async () => {
    const { body, end } = pieces('{"ok":true}')
    const { outcomes, clock, response } = watch(body)
    end()
    await clock.advance(0)
    expect(outcomes).toEqual(['read'])
    await clock.advance(600_000)
    expect(await response.json()).toEqual({ ok: true })
    expect(outcomes).toEqual(['read'])
  })

  it('ends when it is cancelled', async () => {
    const { body, cancelled } = pieces('hello')
    const { response, outcomes, clock } = watch(body)
    await response.body?.cancel('enough')
    expect(cancelled).toHaveBeenCalledWith('enough')
    await clock.advance(600_000)
    expect(outcomes).toEqual(['cancelled'])
  })

  it('ends when the reader leaves in the middle', async () => {
    const { body, cancelled } = pieces('one', 'two')
    const { response, outcomes } = watch(body)
    for await (const _ of response.body ?? []) break
    expect(outcomes).toEqual(['cancelled'])
    expect(cancelled).toHaveBeenCalledTimes(1)
  })

  it('ends when it fails, and fails alike', async () => {
    const { body, fail } = pieces('half')
    const { response, outcomes, clock } = watch(body)
    const text = response.text()
    const error = new Error('cut')
    fail(error)
    await expect(text).rejects.toBe(error)
    expect(outcomes).toEqual(['failed'])
    expect(clock.pending).toEqual([])
  })

  it('is closed when it lies there unread', async () => {
    const { body, cancelled } = pieces('hello')
    const { response, outcomes, clock } = watch(body)
    await clock.advance(59_999)
    expect(outcomes).toEqual([])
    await clock.advance(1)
    expect(outcomes).toEqual(['unread'])
    expect(cancelled).toHaveBeenCalledTimes(1)
    await expect(response.text()).rejects.toMatchObject({ code: 'TIMEOUT', details: { afterMs: 60_000 } })
    expect(outcomes).toEqual(['unread'])
    expect(clock.pending).toEqual([])
  })

  it('is closed when its reader stops in the middle, and not while it is slow', async () => {
    const { body, push } = pieces('one', 'two')
    const { response, outcomes, clock } = watch(body)
    const reader = response.body?.getReader()
    for (let piece = 0; piece < 5; piece++) {
      await clock.advance(50_000)
      await reader?.read()
      push('more')
    }
    expect(outcomes).toEqual([])
    await clock.advance(75_000)
    expect(outcomes).toEqual(['unread'])
  })

  it('is not taken for unread while its reader waits for the agent', async () => {
    const { body, push, end } = pieces()
    const { response, outcomes, clock } = watch(body)
    const text = response.text()
    await clock.advance(600_000)
    push('at last')
    end()
    expect(await text).toBe('at last')
    expect(outcomes).toEqual(['read'])
  })

  it('reads ahead a little only', async () => {
    let pulled = 0
    const body = new ReadableStream({
      pull(controller) {
        pulled++
        controller.enqueue(Buffer.alloc(1_024))
      },
    })
    const { clock } = watch(body)
    await clock.advance(10)
    expect(pulled).toBeLessThan(20)
  })
})
